"""What strings have said already: which tokens, which n-grams, and where their ends came before."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aligndec.shared import whole

__all__ = ["Histories", "dry_matches", "histories", "repeated_ngrams"]


class Histories(NamedTuple):
    """Tokens int64 [B, T], those of each row at its start and -1 behind; their number [B]; V."""

    tokens: Tensor
    length: Tensor
    vocab: int

    def keys(self, skipped: int | Tensor = 0) -> Tensor:
        """Return row · V + token of every token but the first `skipped` of each row."""
        at = torch.arange(self.tokens.shape[1], device=self.tokens.device)
        if isinstance(skipped, Tensor):
            skipped = skipped.to(self.tokens.device).reshape(-1, 1)
        return self.of(self.tokens, (at >= skipped) & (at < self.length[:, None]))

    def of(self, tokens: Tensor, where: Tensor) -> Tensor:
        """Return row · V + token of the chosen ones among tokens [B, ·]."""
        rows = torch.arange(len(tokens), device=tokens.device)[:, None]
        return (rows * self.vocab + tokens)[where]

    def end(self, back: int) -> Tensor:
        """Return the token that stands `back` places before the next one, [B, 1]; -1: none."""
        at = self.length[:, None] - back
        found = self.tokens.gather(1, at.clamp(min=0))
        return torch.where(at >= 0, found, -1)


def histories(history: Any, batch: int, vocab: int, device: torch.device) -> Histories:
    """Check B histories, lists of ids or int64 [B, T] with -1 where there is no token."""
    if not isinstance(history, Tensor):
        if not isinstance(history, Sequence) or isinstance(history, str):
            raise TypeError(
                f"penalties: history must be int64 [B, T] or a list of lists, got {history!r:.80}"
            )
        listed = [[whole("penalties", "history", i, "of ints") for i in row] for row in history]
        longest = max([1, *map(len, listed)])
        padded = [row + [-1] * (longest - len(row)) for row in listed]
        history = torch.tensor(padded, dtype=torch.int64).reshape(len(listed), longest)
    if history.dtype != torch.int64 or history.dim() != 2 or len(history) != batch:
        raise ValueError(
            f"penalties: history must be int64 [B, T] with B = {batch}, got {history.dtype} "
            f"{list(history.shape)}"
        )
    history = history.to(device)
    if history.shape[1] == 0:
        history = history.new_full((batch, 1), -1)
    if history.is_cpu and history.numel():
        low, high = int(history.min()), int(history.max())
        if low < -1 or high >= vocab:
            got = low if low < -1 else high
            raise ValueError(
                f"penalties: history must be of ids in [0, V) = [0, {vocab}), or -1, got {got}"
            )
    there = history >= 0
    order = (~there).byte().argsort(dim=1, stable=True)
    return Histories(history.gather(1, order), there.sum(1), vocab)


def repeated_ngrams(said: Histories, n: int) -> Tensor:
    """Return row · V + token of the tokens that would complete an n-gram of their history again."""
    starts = said.tokens.shape[1] - n + 1
    if starts <= 0:
        return torch.zeros(0, dtype=torch.int64, device=said.tokens.device)
    at = torch.arange(starts, device=said.tokens.device)
    found = at <= said.length[:, None] - n
    for i in range(n - 1):
        found = found & (said.tokens[:, i : i + starts] == said.end(n - 1 - i))
    return said.of(said.tokens[:, n - 1 :], found)


def dry_matches(
    said: Histories, multiplier: float, base: float, allowed_length: int, breakers: Sequence[int]
) -> tuple[Tensor, Tensor]:
    """Return keys row · V + token and what each costs, multiplier · base^(m − allowed_length).

    m is how many tokens up to a place agree with as many at the end; the key names the token after
    that place. A key may come up several times.
    """
    tokens, wide = said.tokens, said.tokens.shape[1]
    stops = torch.tensor(list(breakers), dtype=torch.int64, device=tokens.device)
    # From this length on the penalty is the largest float: longer matches need not be told apart.
    largest = float(torch.finfo(torch.float32).max)
    growth = math.log(largest / multiplier) / math.log(base) if base > 1.0 else 0.0
    longest = min(wide, allowed_length + math.ceil(max(growth, 0.0)) + 1)
    place = torch.arange(wide, device=tokens.device)
    alive = place < said.length[:, None] - 1
    m = torch.zeros_like(tokens)
    for back in range(longest):
        end = said.end(back + 1)
        before = torch.full_like(tokens, -2)
        before[:, back:] = tokens[:, : wide - back]
        alive = alive & (before == end) & ~torch.isin(end, stops)
        if not bool(alive.any()):
            break
        m += alive
    after = torch.roll(tokens, -1, 1)
    hit = (m >= max(allowed_length, 1)) & ~torch.isin(after, stops)
    power = (m[hit] - allowed_length).double()
    cost = (multiplier * torch.pow(torch.tensor(base, dtype=torch.float64), power.cpu())).clamp(
        max=largest
    )
    return said.of(after, hit), cost.to(tokens.device)
