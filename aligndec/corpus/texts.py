"""Prompts of a run as token ids."""

from __future__ import annotations

from typing import Any

__all__ = ["encode"]


def encode(tokenizer: Any, values: list[Any]) -> list[list[int]]:
    """Token ids of texts, chats (through the tokenizer's template) and ids."""
    return [_ids(tokenizer, value) for value in values]


def _ids(tokenizer: Any, value: Any) -> list[int]:
    if isinstance(value, str):
        return list(tokenizer(value)["input_ids"])
    if isinstance(value[0], dict):
        if not getattr(tokenizer, "chat_template", None):
            raise ValueError(
                "corpus: messages must go with a tokenizer that has a chat_template, got one "
                "without; give prompts"
            )
        return list(
            tokenizer.apply_chat_template(value, add_generation_prompt=True, return_dict=False)
        )
    return [int(token) for token in value]
