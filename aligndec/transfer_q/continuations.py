"""Continuations of many strings in one batch: blocks and rollouts, drawn from the baseline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from aligndec import rng
from aligndec.generation import COMPACT_AT
from aligndec.step import Adaptor, Step, sample
from aligndec.transfer_q.cursor import Cursor
from aligndec.transfer_q.live import Decision, Live
from aligndec.transfer_q.options import GREEDY, Options

__all__ = ["Drawer", "Front", "Paths", "drawer", "walk"]


@dataclass
class Front:
    """Rows that are continued together; row f works on item `index[f]` while `alive[f]`."""

    index: Tensor  # int64 [f]
    alive: Tensor  # bool [f]
    cursor: Cursor

    @classmethod
    def at(cls, cursor: Cursor, index: Tensor) -> Front:
        """Begin with the rows of a cursor, all alive."""
        return cls(index, torch.ones_like(index, dtype=torch.bool), cursor)

    def fan_out(self, rows: Tensor, index: Tensor) -> Front:
        """Repeat rows for new items; this front stays usable."""
        return Front.at(self.cursor.select(rows), index)

    def retire(self, ended: Tensor) -> None:
        """Take rows out of work; they leave the batch once at most half of it still runs."""
        self.alive = self.alive & ~ended
        live = self.alive.nonzero()[:, 0]
        if len(live) < len(self.index) and len(live) <= COMPACT_AT * len(self.index):
            self.index, self.alive = self.index[live], self.alive[live]
            self.cursor = self.cursor.select(live)


@dataclass
class Paths:
    """What was drawn for M items: tokens [M, width], `length` of them, sums of their log-laws."""

    tokens: Tensor
    length: Tensor
    log_p: Tensor
    log_q: Tensor
    ended: Tensor
    status: Tensor

    @classmethod
    def empty(cls, n: int, width: int, pad: int, device: torch.device) -> Paths:
        """N items of which nothing was drawn yet, for `width` tokens each."""
        count = torch.zeros(n, dtype=torch.int64, device=device)
        total = torch.zeros(n, dtype=torch.float64, device=device)
        tokens = torch.full((n, width), pad, dtype=torch.int64, device=device)
        ended = torch.zeros(n, dtype=torch.bool, device=device)
        return cls(tokens, count, total, total.clone(), ended, count.clone())

    def texts(self, index: Tensor) -> list[list[int]]:
        """Return the tokens of items as lists."""
        rows = zip(self.tokens[index].tolist(), self.length[index].tolist(), strict=True)
        return [row[:length] for row, length in rows]


@dataclass(frozen=True)
class Drawer:
    """Draws the tokens of continuations.

    `uniforms` float64 [M, L] are the random numbers of each item at steps `first` to `first` + L −
    1; None where none are needed: a greedy adaptor.
    """

    adaptor: Adaptor
    uniforms: Tensor | None
    first: int

    def __call__(self, logits: Tensor, items: Tensor, step: int) -> Step:
        """Draw the token of step `step` for the given items."""
        if self.uniforms is None:
            return sample(logits, self.adaptor, positions=0, strict=False)
        uniforms = self.uniforms[items, step - self.first]
        return sample(logits, self.adaptor, uniforms=uniforms, strict=False)


def drawer(
    options: Options, decision: Decision, live: Live, owner: Tensor, numbers: Tensor, steps: range
) -> Drawer:
    """Return the source of the tokens of M items.

    Item i continues live string `owner[i]` and is number `numbers[i]` = candidate · N + rollout; a
    token is a pure function of (string, position, candidate, rollout, step).
    """
    if options.rollout == "greedy":
        return Drawer(GREEDY, None, steps.start)
    child = rng.child_seed(decision.seed, live.sequence_ids, decision.t, rng.ROLLOUT)[owner]
    step = torch.arange(steps.start, steps.stop, device=owner.device)
    bits = rng.philox(child[:, None], numbers[:, None], step, rng.ROLLOUT)[0]
    return Drawer(options.rollout_adaptor, rng.uniform(bits), steps.start)


def walk(
    front: Front,
    paths: Paths,
    draw: Callable[[Tensor, Tensor, int], Step],
    steps: range,
    eos: Tensor,
    *,
    feed_last: bool,
) -> None:
    """Draw `len(steps)` tokens for each item of the front and write them into `paths`.

    An item stops at an end token (which counts) and at unusable logits (which set its status).
    """
    for i in steps:
        step = draw(front.cursor.logits, front.index, i)
        good = front.alive & (step.token >= 0)
        items, token = front.index[good], step.token[good]
        paths.tokens[items, paths.length[items]] = token
        paths.length[items] += 1
        paths.log_p[items] += step.log_p[good]
        paths.log_q[items] += step.log_q[good]
        paths.ended[items] = torch.isin(token, eos)
        broken = front.alive & (step.token < 0)
        paths.status[front.index[broken]] = step.status[broken]
        if i + 1 == steps.stop and not feed_last:
            return
        tokens = step.token.clamp(min=0)
        before = len(front.index)
        keep = front.alive & ~broken & ~paths.ended[front.index]
        front.retire(~keep)
        if len(front.index) == 0:
            return
        front.cursor = front.cursor.feed(tokens[keep] if len(front.index) < before else tokens)
