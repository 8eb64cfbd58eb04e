"""What rejection has accepted, and its counts by prompt: the only place that writes them."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from aligndec.generation import sequence_id
from aligndec.global_law.rejection.accept import Verdict
from aligndec.global_law.rejection.strings import Draws, Source, Strings
from aligndec.step import SUMS

__all__ = ["NO_DRAW", "Accepted", "Records"]

NO_DRAW = 2**32


class Accepted(NamedTuple):
    """The samples of some prompts, by prompt and draw.

    `prompt`, `rank` (number among the samples of its prompt), `draw`, `length` int64 [k],
    `finished` bool [k], `tokens` int64 [k, T], `sums` float64 [k, 5]. `n_drawn` int64 [G]: the
    draws of each prompt, counted up to its last sample. `fed` int64 [1]: tokens that were read by
    the model behind the prompts.
    """

    prompt: Tensor
    rank: Tensor
    draw: Tensor
    tokens: Tensor
    length: Tensor
    finished: Tensor
    sums: Tensor
    n_drawn: Tensor
    fed: Tensor


class Records:
    """Accepted strings of G prompts; int64 [G]: draws `started`, `decided` and `accepted`."""

    def __init__(self, source: Source, n_samples: int, bar: Any) -> None:
        self.n_samples, self._bar = n_samples, bar
        self.started = torch.zeros_like(source.names)
        self.decided, self.accepted = self.started.clone(), self.started.clone()
        self._highest = self.started - 1  # accepted draw
        self.fed = 0  # tokens
        none = self.started[:0]
        tokens = none.new_zeros(0, source.max_new_tokens)
        sums = torch.zeros(0, len(SUMS), dtype=torch.float64, device=none.device)
        self._strings = [(none, none, tokens, none, none.bool(), sums)]

    def start(self, draws: Draws) -> None:
        """Count draws that begin."""
        self.started += torch.bincount(draws.prompt, minlength=len(self.started))

    def write(self, strings: Strings, verdict: Verdict) -> None:
        """Count what was decided and keep what was accepted."""
        index, size = verdict.accepted.nonzero()[:, 0], len(self.started)
        self.decided += torch.bincount(strings.prompt[verdict.decided], minlength=size)
        if len(index) == 0:
            return
        prompt, draw = strings.prompt[index], strings.draw[index]
        before = self.accepted.clamp(max=self.n_samples).sum()
        self.accepted += torch.bincount(prompt, minlength=size)
        self._highest.scatter_reduce_(0, prompt, draw, "amax")
        sums = strings.sums.sums[: len(SUMS), index].t()
        ended = (strings.sums.length[index], strings.sums.finished[index], sums)
        self._strings.append((prompt, draw, strings.tokens[index], *ended))
        if self._bar is not None:
            self._bar.update(int(self.accepted.clamp(max=self.n_samples).sum() - before))

    def surplus(self, strings: Strings) -> Tensor:
        """Strings that cannot be among the first n_samples accepted draws of their prompt."""
        bound = torch.where(self.accepted >= self.n_samples, self._highest, NO_DRAW)
        return strings.draw > bound[strings.prompt]

    def result(self) -> Accepted:
        """Return the first n_samples accepted strings of every prompt."""
        prompt, draw, *rest = (torch.cat(column) for column in zip(*self._strings, strict=True))
        order = sequence_id(prompt, draw).argsort()
        begin = self.accepted.cumsum(0) - self.accepted
        rank = torch.arange(len(order), device=order.device) - begin[prompt[order]]
        kept = rank < self.n_samples
        order, rank = order[kept], rank[kept]
        prompt, draw, tokens, length, finished, sums = (x[order] for x in (prompt, draw, *rest))
        last = torch.zeros_like(self.started).scatter_reduce_(0, prompt, draw + 1, "amax")
        n_drawn = torch.where(self.accepted >= self.n_samples, last, self.started)
        fed = n_drawn.new_tensor([self.fed])
        return Accepted(prompt, rank, draw, tokens, length, finished, sums, n_drawn, fed)
