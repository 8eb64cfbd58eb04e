"""Prompts of the demo: the built-in ones, a file of them, and their token ids."""

from __future__ import annotations

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
    """One prompt per non-empty line of `path`, or the built-in ones."""
    if path is None:
        return list(built_in)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"--prompts must be a text file in UTF-8, got {path} ({error})") from error
    prompts = [line.strip() for line in lines if line.strip()]
    if not prompts:
        raise CliError(f"--prompts must hold at least one line of text, got the empty file {path}")
    return prompts


def encode(tokenizer: Any, prompts: list[str]) -> list[list[int]]:
    """Token ids of each prompt, in the model's chat template when it has one."""
    given: Any = prompts
    if getattr(tokenizer, "chat_template", None):
        given = [[{"role": "user", "content": prompt}] for prompt in prompts]
    ids: Any = generation.read_prompts("encode", tokenizer, given, None).input_ids
    return [list(row) for row in ids]
