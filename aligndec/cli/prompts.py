"""Prompts of the demo: the built-in ones, a file of them, and their token ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aligndec import generation
from aligndec.cli.console import CliError

__all__ = ["PROMPTS", "STUDY_PROMPTS", "encode", "read_prompts"]

PROMPTS = (
    "Describe a lighthouse at dawn in two sentences.",
    "Write the first line of a story about a clockmaker.",
    "Explain to a child why the sky is blue.",
)

STUDY_PROMPTS = (
    "Write one sentence about the last film you saw.",
    "How was the food at the new restaurant in town?",
    "Tell me what you think of rainy Mondays.",
    "Describe your neighbour's dog.",
    "My flight was delayed by five hours. What would you say to me?",
    "Write the first sentence of a letter to an old friend.",
    "What happened at the football match yesterday?",
    "Give your opinion on living in a big city.",
    "A customer returns a broken lamp. What does she say?",
    "Describe the mood of a village on the day after the storm.",
)
"""They can be answered in a friendly and in an unfriendly way: the reward has room to vary."""


def read_prompts(path: Path | None, built_in: tuple[str, ...] = PROMPTS) -> list[str]:
    """One prompt per non-empty line of `path`, or the built-in ones.

    A line ends at a line feed, alone or behind a carriage return, and at no other character. A file
    that ends in .jsonl has an object per line, with `prompt`, or with `messages` of one user.
    """
    if path is None:
        return list(built_in)
    try:
        # With a byte-order mark or without; UTF-16 shows in its zeros.
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"--prompts must be a text file in UTF-8, got {path} ({error})") from error
    if "\0" in text:
        raise CliError(
            f"--prompts must be a text file in UTF-8, got {path} with zero bytes (UTF-16? convert "
            "it: iconv -f UTF-16 -t UTF-8)"
        )
    lines = [(n, line.strip()) for n, line in enumerate(text.split("\n"), 1) if line.strip()]
    as_json = path.suffix.lower() in (".jsonl", ".ndjson")
    prompts = [_of_object(path, n, line) if as_json else line for n, line in lines]
    if not prompts:
        raise CliError(f"--prompts must hold at least one line of text, got the empty file {path}")
    return prompts


def _of_object(path: Path, number: int, line: str) -> str:
    """Return the prompt of a line of JSON: its `prompt`, or the one message of a user."""
    try:
        record = json.loads(line)
    except ValueError as error:
        raise CliError(
            f"--prompts must hold JSON in every line, got {path}:{number} ({error})"
        ) from error
    prompt = record.get("prompt") if isinstance(record, dict) else None
    messages = record.get("messages") if isinstance(record, dict) else None
    for chat in (prompt, messages):
        if isinstance(chat, list) and len(chat) == 1 and isinstance(chat[0], dict):
            prompt = chat[0].get("content")
    if not isinstance(prompt, str) or not prompt.strip():
        raise CliError(
            f"--prompts must hold objects with prompt (a text) or messages (one of a user), got "
            f"{path}:{number}: {line:.80}"
        )
    return prompt.strip()


def encode(tokenizer: Any, prompts: list[str]) -> list[list[int]]:
    """Token ids of each prompt, in the model's chat template when it has one."""
    given: Any = prompts
    if getattr(tokenizer, "chat_template", None):
        given = [[{"role": "user", "content": prompt}] for prompt in prompts]
    try:
        ids: Any = generation.read_prompts("encode", tokenizer, given, None).input_ids
    except ValueError as error:  # a template that cannot take them
        raise CliError(str(error)) from error
    rows = [list(row) for row in ids]
    for prompt, row in zip(prompts, rows, strict=True):
        if not row:
            raise CliError(
                "the chat template of the model must render something of every prompt, got no "
                f"token for {prompt[:80]!r}"
            )
    return rows
