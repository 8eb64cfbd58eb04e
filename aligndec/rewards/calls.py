"""Calls of reward functions, checked and counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from aligndec.errors import RewardError

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
        self._reward = reward
        self.calls = self.items = 0

    def __call__(self, prompts: Ids, completions: Ids) -> Tensor:
        """Return the rewards float64 [n], all finite; RewardError otherwise."""
        n = len(completions)
        if n == 0:
            return torch.empty(0, dtype=torch.float64)
        self.calls += 1
        self.items += n
        try:
            given = self._reward(prompts, completions)
        except Exception as error:
            raise RewardError(
                f"{self._where} raised {type(error).__name__}: {error} ({n} items)", range(n)
            ) from error
        values: list[Any] = given.tolist() if hasattr(given, "tolist") else _listed(given)
        if not isinstance(values, list) or len(values) != n:
            got = f"{len(values)} values" if isinstance(values, list) else repr(given)
            raise RewardError(
                f"{self._where} must return one number per item = {n}, got {got}", range(n)
            )
        bad = [i for i, value in enumerate(values) if not _usable(value)]
        if bad:
            shown = ", ".join(f"item {i}: {values[i]!r} for {completions[i][:12]}" for i in bad[:4])
            raise RewardError(
                f"{self._where} must return finite numbers, got {shown}"
                + (f" and {len(bad) - 4} more" if len(bad) > 4 else ""),
                bad,
            )
        return torch.tensor([float(value) for value in values], dtype=torch.float64)


def _listed(given: Any) -> Any:
    try:
        return list(given)
    except TypeError:
        return given


def _usable(value: Any) -> bool:
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False
