"""Continuations of many branches in one batch: blocks and rollouts, drawn from the baseline."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aligndec.generation import COMPACT_AT
from aligndec.models import StepLM
from aligndec.step import Adaptor, Step, sample

__all__ = ["Counted", "Drawer", "Front", "Paths", "walk"]


class Counted:
    """A `StepLM` that counts its forwards and the tokens it reads (padding of prompts aside)."""

    def __init__(self, lm: StepLM) -> None:
        self.lm = lm
        self.vocab_size, self.eos_token_id, self.device = lm.vocab_size, lm.eos_token_id, lm.device
        self.pad_token_id: int | None = getattr(lm, "pad_token_id", None)
        self.forwards = self.tokens = 0
        if hasattr(lm, "extend"):  # an optional member stays one
            self.extend = self._extend

    def prefill(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Any]:
        """Count and read prompts."""
        self._count(int(mask.sum()))
        return self.lm.prefill(ids, mask)

    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Count and append a token per row."""
        self._count(tokens.numel())
        return self.lm.step(tokens, state)

    def select(self, state: Any, index: Tensor) -> Any:
        """Gather rows of a state; costs no forward."""
        return self.lm.select(state, index)

    def _extend(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        self._count(tokens.numel())
        out: tuple[Tensor, Any] = self.lm.extend(tokens, state)  # type: ignore[attr-defined]
        return out

    def _count(self, tokens: int) -> None:
        self.forwards += 1
        self.tokens += tokens


@dataclass
class Front:
    """Rows that are continued together; row f works on item `index[f]` while `alive[f]`."""

    lm: Counted
    index: Tensor  # int64 [f]
    alive: Tensor  # bool [f]
    logits: Tensor
    state: Any

    @classmethod
    def branch(cls, lm: Counted, state: Any, rows: Tensor, index: Tensor, tokens: Tensor) -> Front:
        """Continue the rows of `state` by one token each."""
        logits, state = lm.step(tokens, lm.select(state, rows))
        return cls(lm, index, torch.ones_like(index, dtype=torch.bool), logits, state)

    def fan_out(self, rows: Tensor, index: Tensor) -> Front:
        """Repeat rows for new items; this front stays usable."""
        alive = torch.ones_like(index, dtype=torch.bool)
        return Front(self.lm, index, alive, self.logits[rows], self.lm.select(self.state, rows))

    def retire(self, ended: Tensor) -> None:
        """Take rows out of work; they leave the batch once at most half of it still runs."""
        self.alive = self.alive & ~ended
        live = self.alive.nonzero()[:, 0]
        if len(live) < len(self.index) and len(live) <= COMPACT_AT * len(self.index):
            self.index, self.alive = self.index[live], self.alive[live]
            self.logits = self.logits[live]
            self.state = self.lm.select(self.state, live) if len(live) else None

    def feed(self, tokens: Tensor) -> None:
        """Read one token per row."""
        self.logits, self.state = self.lm.step(tokens, self.state)


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

    def sums(self, index: Tensor) -> Tensor:
        """Return what items add to log_p, log_ref, log_alg, kl and log_kept, float64 [5, m]."""
        log_p, log_q = self.log_p[index], self.log_q[index]
        zero = torch.zeros_like(log_p)
        return torch.stack([log_p, log_q, log_q, zero, zero])


@dataclass(frozen=True)
class Drawer:
    """Draws the tokens of rollouts.

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
        step = draw(front.logits, front.index, i)
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
        front.feed(tokens[keep] if len(front.index) < before else tokens)
