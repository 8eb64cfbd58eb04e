"""Calls of reward functions, checked and counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from typing import Any

import torch
from torch import Tensor

from aligndec.errors import RewardError
from aligndec.rewards.signature import caller

__all__ = ["Ids", "Reward", "RewardCalls"]

Ids = list[list[int]]
Reward = Callable[[Ids, Ids], Sequence[float]]


class RewardCalls:
    """A reward function whose answers are checked; `calls` and `items` count what was asked."""

    def __init__(self, function: str, name: str, reward: Reward) -> None:
        if not callable(reward):
            raise TypeError(
                f"{function}: {name} must be a callable (prompt_ids, completion_ids) -> floats, "
                f"got {type(reward).__name__}"
            )
        self._where = f"{function}: {name}"
        self._call = caller(self._where, reward, texts=False)
        self.calls = self.items = 0

    def __call__(self, prompts: Ids, completions: Ids) -> Tensor:
        """Return the rewards float64 [n], all finite; RewardError otherwise."""
        n = len(completions)
        if n == 0:
            return torch.empty(0, dtype=torch.float64)
        self.calls += 1
        self.items += n
        # The lists are the function's own: what it does to them changes nothing here.
        given = {"prompts": list(map(list, prompts)), "completions": list(map(list, completions))}
        try:
            answer = self._call(given.__getitem__)
            values = as_values(answer)
        except Exception as error:
            hint = ""
            if isinstance(error, AttributeError | TypeError) and "'list'" in str(error):
                hint = "; it gets token ids: wrap a function of texts in TextReward(fn, tokenizer)"
            raise RewardError(
                f"{self._where} raised {type(error).__name__}: {str(error)[:600]} "
                f"({n} items){hint}",
                range(n),
            ) from error
        if values is None or len(values) != n:
            got = _shown(answer) if values is None else f"{len(values)} values"
            raise RewardError(
                f"{self._where} must return one number per item = {n}, got {got}", range(n)
            )
        bad = [i for i, value in enumerate(values) if not _usable(value)]
        if bad:
            shown = ", ".join(
                f"item {i}: {_shown(values[i])} for {completions[i][:12]}" for i in bad[:4]
            )
            raise RewardError(
                f"{self._where} must return finite numbers, got {shown}"
                + (f" and {len(bad) - 4} more" if len(bad) > 4 else ""),
                bad,
            )
        return torch.tensor([float(value) for value in values], dtype=torch.float64)


def as_values(given: Any) -> list[Any] | None:
    """List what a function returned, item by item; None for what has no order or no items."""
    if given is None or isinstance(given, str | bytes | Mapping | Set):
        return None
    if isinstance(given, Tensor):
        given = given.detach().to("cpu")
        given = (given.to_dense() if given.layout is not torch.strided else given).tolist()
    elif hasattr(given, "tolist"):
        given = given.tolist()
    elif not isinstance(given, Iterable):
        return None
    return list(given) if isinstance(given, Iterable) else None


def _shown(value: Any) -> str:
    """Return the text of what a function gave, in at most 80 characters."""
    text = f"{value!r}"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _usable(value: Any) -> bool:
    if isinstance(value, str | bytes | bytearray):
        return False
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return False
