"""Checks of token ids and of other lists of integers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sized
from typing import Any

from aligndec.shared.scalars import plain, whole

__all__ = ["in_vocabulary", "integers", "listed", "token_ids"]


def integers(name: str, given: Any) -> list[int]:
    """Return a tensor [n] or a sequence of integers as a list; `name`: <function>: <argument>."""
    function, argument = name.split(": ")
    items = given.tolist() if hasattr(given, "tolist") else given
    if isinstance(items, str) or not isinstance(items, Iterable):
        raise TypeError(f"{name} must be a sequence of ints, got {given!r}")
    return [whole(function, argument, item, "of ints") for item in items]


def listed(name: str, what: str, given: Any) -> Any:
    """Return a sized sequence of rows as it is; refuse anything else."""
    if isinstance(given, str | Mapping) or not isinstance(given, Sized):
        raise TypeError(f"{name} must be {what}, got {type(given).__name__}")
    return given


def token_ids(name: str, value: Any, vocab_size: int) -> tuple[int, ...]:
    """Token ids as a tuple, of an int, a sequence or a tensor; None and () are empty."""
    value = plain(value)
    one = isinstance(value, int)
    items = integers(name, () if value is None else [value] if one else value)
    return tuple(in_vocabulary(name, items, vocab_size))


def in_vocabulary(name: str, items: list[int], vocab_size: int) -> list[int]:
    """Return integers as they are; refuse those that are no token ids."""
    for item in items:
        if not 0 <= item < vocab_size:
            raise ValueError(f"{name} must be in [0, {vocab_size}), got {item}")
    return items
