"""Draws of a sampler, in batches of mixed rows, and the same ones again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

__all__ = ["Draw", "Draws", "Seeding", "collect", "repeated"]

Draw = Callable[[Tensor, Any], Any]
Seeding = Literal["row", "call", "none"]


@dataclass(frozen=True)
class Draws:
    """Everything drawn, call after call; int64 [C, B] all: row of logits, token, seed."""

    row: Tensor
    token: Tensor
    seed: Tensor


class Caller:
    """A sampler with its arguments: what it is asked and how its answer is read."""

    def __init__(self, draw: Draw, logits: Tensor, by_row: bool, seeding: Seeding) -> None:
        self._draw, self._logits, self._by_row, self._seeding = draw, logits, by_row, seeding

    def __call__(self, rows: Tensor, seeds: Tensor) -> Tensor:
        """Draw a token for each of the rows int64 [B]; `seeds` int64 [B]."""
        what = rows if self._by_row else self._logits[rows]
        seed: Any = {"row": seeds, "call": int(seeds[0]), "none": None}[self._seeding]
        token = torch.as_tensor(self._draw(what, seed))
        if token.is_floating_point() or token.shape != rows.shape:
            raise ValueError(
                f"check_sampler: draw must return int64 [B] = [{len(rows)}], got {token.dtype} "
                f"{list(token.shape)}"
            )
        token, vocab = token.to("cpu", torch.int64), self._logits.shape[1]
        outside = token[(token < 0) | (token >= vocab)]
        if len(outside):
            raise ValueError(
                f"check_sampler: draw must return tokens in [0, {vocab}), got {int(outside[0])}"
            )
        return token


def collect(caller: Caller, n_rows: int, draws: int, batch: int, seed: int) -> Draws:
    """Draw at least `draws` tokens of each row, all in full batches of rows in random order."""
    mixer = torch.Generator().manual_seed(seed)
    calls = -(-draws * n_rows // batch)
    calls += calls % 2  # successive calls are compared in pairs
    row = torch.arange(calls * batch) % n_rows
    row = row[torch.randperm(len(row), generator=mixer)].reshape(calls, batch)
    seeds = seed * 2**24 + torch.arange(calls * batch).reshape(calls, batch)
    token = torch.stack([caller(r, s) for r, s in zip(row, seeds, strict=True)])
    return Draws(row, token, seeds)


def repeated(caller: Caller, draws: Draws, seeding: Seeding, count: int) -> dict[str, int]:
    """Draw `count` batches again and return how many tokens differ, by what was changed.

    "seeds": nothing was changed. "mates" (with a seed per row): the batch in another order and
    half of it, then some of its rows alone.
    """
    differ = {"seeds": 0}
    for row, token, seed in zip(draws.row, draws.token, draws.seed, strict=True):
        if count == 0:
            break
        count -= 1
        differ["seeds"] += int((caller(row, seed) != token).sum())
        if seeding != "row":
            continue
        fewer = torch.arange(len(row) - 1, -1, -2)
        other = int((caller(row[fewer], seed[fewer]) != token[fewer]).sum())
        for i in range(min(8, len(row))):
            other += int((caller(row[i : i + 1], seed[i : i + 1]) != token[i : i + 1]).sum())
        differ["mates"] = differ.get("mates", 0) + other
    return differ
