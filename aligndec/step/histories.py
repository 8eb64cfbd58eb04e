"""What strings have said already, kept up token by token: which tokens, and what came before.

Tokens of B strings stand right aligned in int64 [B, T], -1 where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from aligndec.shared import whole

__all__ = ["Distinct", "Repeats", "histories", "keys_of"]


def histories(history: Any, batch: int, vocab: int, device: torch.device) -> Tensor:
    """Check B histories, lists of ids or int64 [B, T] with -1 where there is no token."""
    if not isinstance(history, Tensor):
        if not isinstance(history, Sequence) or isinstance(history, str):
            raise TypeError(
                f"penalties: history must be int64 [B, T] or a list of lists, got {history!r:.80}"
            )
        listed = [[whole("penalties", "history", i, "of ints") for i in row] for row in history]
        longest = max([1, *map(len, listed)])
        padded = [[-1] * (longest - len(row)) + row for row in listed]
        history = torch.tensor(padded, dtype=torch.int64).reshape(len(listed), longest)
    if history.dtype != torch.int64 or history.dim() != 2 or len(history) != batch:
        raise ValueError(
            f"penalties: history must be int64 [B, T] with B = {batch}, got {history.dtype} "
            f"{list(history.shape)}"
        )
    history = history.to(device)
    if history.is_cpu and history.numel():
        low, high = int(history.min()), int(history.max())
        if low < -1 or high >= vocab:
            got = low if low < -1 else high
            raise ValueError(
                f"penalties: history must be of ids in [0, V) = [0, {vocab}), or -1, got {got}"
            )
    if history.shape[1] == 0:
        history = history.new_full((batch, 1), -1)
    order = (history >= 0).byte().argsort(dim=1, stable=True)
    aligned: Tensor = history.gather(1, order)
    return aligned


def keys_of(tokens: Tensor, where: Tensor, vocab: int) -> Tensor:
    """Return row · V + token of the chosen ones among tokens [B, ·]."""
    rows = torch.arange(len(tokens), device=tokens.device)[:, None]
    return (rows * vocab + tokens)[where]


@dataclass
class Distinct:
    """The distinct tokens of each string and how often each counts.

    `ids` int64 [B, D] ascending, V behind the last one of a row (and at least once); `times` [B, D]
    float32.
    """

    ids: Tensor
    times: Tensor
    vocab: int

    @staticmethod
    def of(tokens: Tensor, skipped: int | Tensor, vocab: int) -> Distinct:
        """Return those of strings, of which all but the first `skipped` (or [B]) tokens count."""
        there = tokens >= 0
        if isinstance(skipped, Tensor):
            skipped = skipped.to(tokens.device).reshape(-1, 1)
        counted = there & (there.cumsum(1) > skipped)
        every, order = torch.where(there, tokens, vocab).sort(1)
        new = pad(every[:, 1:] != every[:, :-1], (1, 0), value=True)
        place = new.cumsum(1) - 1
        ids = torch.full((len(tokens), tokens.shape[1] + 1), vocab, device=tokens.device)
        times = torch.zeros(ids.shape, device=tokens.device)
        ids.scatter_(1, place, every)
        times.scatter_add_(1, place, counted.gather(1, order).to(times))
        wide = int((ids < vocab).sum(1).max()) + 1 if ids.numel() else 1
        return Distinct(ids[:, :wide].contiguous(), times[:, :wide].contiguous(), vocab)

    def append(self, token: Tensor) -> None:
        """Count one more token of each string, int64 [B]."""
        place = torch.searchsorted(self.ids, token[:, None].contiguous())
        new = self.ids.gather(1, place) != token[:, None]
        at = torch.arange(self.ids.shape[1] + 1, device=token.device)
        source = at - (new & (at > place)).long()  # from its place on everything moves by one
        # Where nothing moves, the column beyond the last one is the last one: V.
        source = source.clamp(max=self.ids.shape[1] - 1)
        self.ids = self.ids.gather(1, source).scatter_(1, place, token[:, None])
        times = self.times.gather(1, source)
        before = torch.where(new, 0.0, times.gather(1, place))
        self.times = times.scatter_(1, place, before + 1.0)

    def select(self, index: Tensor) -> Distinct:
        """Gather strings."""
        return Distinct(self.ids[index], self.times[index], self.vocab)

    def keys(self) -> tuple[Tensor, Tensor]:
        """Return row · V + token of all, ascending, and their times."""
        where = self.ids < self.vocab
        return keys_of(self.ids, where, self.vocab), self.times[where]


@dataclass
class Repeats:
    """How many tokens up to each place of a string agree with as many at its end.

    `tokens` int64 [B, W], of which the first `used` columns are taken; `match` int64 [B, W] that
    number; `stop` bool [B, W] marks breakers, `since` int64 [B] counts the tokens after the last.
    """

    tokens: Tensor
    match: Tensor
    stop: Tensor
    since: Tensor
    used: int
    breakers: Tensor

    @staticmethod
    def of(tokens: Tensor, breakers: Sequence[int], longest: int) -> Repeats:
        """Return those of strings; agreements of more than `longest` tokens count as that many."""
        listed = torch.tensor(list(breakers), dtype=torch.int64, device=tokens.device)
        match, places = torch.zeros_like(tokens), max(tokens.shape[1] - 1, 0)
        alive = torch.ones_like(tokens[:, :places], dtype=torch.bool)
        for back in range(min(longest, places)):
            end = tokens[:, places - back, None]
            alive[:, :back] = False
            alive[:, back:] &= (tokens[:, : places - back] == end) & (end >= 0)
            if not bool(alive.any()):
                break
            match[:, :places] += alive
        stop = torch.isin(tokens, listed)
        open_ = (~stop & (tokens >= 0)).flip(1)
        since = open_.long().cumprod(1).sum(1)
        return Repeats(tokens.clone(), match, stop, since, tokens.shape[1], listed)

    def append(self, token: Tensor) -> None:
        """Add one token to each string, int64 [B]."""
        n = self.used
        if n == self.tokens.shape[1]:
            room = (0, max(64, n // 2))
            self.tokens = pad(self.tokens, room, value=-1)
            self.match, self.stop = pad(self.match, room), pad(self.stop, room)
        if n:
            longer = pad(self.match[:, : n - 1], (1, 0)) + 1
            same = self.tokens[:, :n] == token[:, None]
            self.match[:, :n] = torch.where(same, longer, 0)
        self.tokens[:, n] = token
        ends = torch.isin(token, self.breakers)
        self.stop[:, n] = ends
        self.since = torch.where(ends, 0, self.since + 1)
        self.used += 1

    def select(self, index: Tensor) -> Repeats:
        """Gather strings."""
        parts = {name: getattr(self, name)[index] for name in ("tokens", "match", "stop", "since")}
        return replace(self, **parts)

    def ngrams(self, n: int, vocab: int) -> Tensor:
        """Return row · V + token of the tokens that would complete an n-gram again."""
        if n == 1:
            said = self.tokens[:, : self.used]
            return keys_of(said, said >= 0, vocab)
        after = self.tokens[:, 1 : self.used]
        return keys_of(after, self.match[:, : after.shape[1]] >= n - 1, vocab)

    def dry(self, least: int, vocab: int) -> tuple[Tensor, Tensor]:
        """Return row · V + token after each agreement of `least` tokens, and how long it is.

        Agreements end at breakers, which are never named. A key may come up several times.
        """
        after = self.tokens[:, 1 : self.used]
        match = torch.minimum(self.match[:, : after.shape[1]], self.since[:, None])
        hit = (match >= max(least, 1)) & ~self.stop[:, 1 : self.used]
        return keys_of(after, hit, vocab), match[hit]
