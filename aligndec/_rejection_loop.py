"""The loop of rejection sampling: strings stop where they fail and others take their slots."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from aligndec import _exact, rng
from aligndec._prepare import Prepared
from aligndec.adaptors import PackedAdaptors
from aligndec.generation import sequence_id
from aligndec.state import SUMS, SequenceState
from aligndec.step import sample

__all__ = ["NO_DRAW", "Group"]

# New draws join once this share of the slots is free: joining costs about one step of the model.
JOIN_AT = 0.25
# Without `join` a batch only shrinks; gathering the rest at half its size is cheap in total.
SHRINK_AT = 0.5
NO_DRAW = 2**32


@dataclass
class _Rows:
    """The strings that are being drawn: one a slot, each at its own position."""

    prompt: Tensor  # int64 [B], of the group
    draw: Tensor  # int64 [B]
    alive: Tensor  # bool [B]
    tokens: Tensor  # int64 [B, T]
    log_u: Tensor  # float64 [B, T], decides step t
    sums: SequenceState
    logits: Tensor
    state: Any

    def select(self, lm: Any, index: Tensor) -> _Rows:
        gathered = {name: getattr(self, name)[index] for name in _TENSORS}
        return _Rows(**gathered, sums=self.sums.select(index), state=lm.select(self.state, index))

    def join(self, lm: Any, other: _Rows) -> _Rows:
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in _TENSORS}
        joined = {name: torch.cat(pair) for name, pair in pairs.items()}
        sums = self.sums.join(other.sums)
        return _Rows(**joined, sums=sums, state=lm.join(self.state, other.state))


_TENSORS = ("prompt", "draw", "alive", "tokens", "log_u", "logits")


@dataclass
class Group:
    """The loop over some prompts; which draw gets a slot when does not change what is accepted."""

    given: Prepared
    names: Tensor  # int64 [G]
    params: Tensor  # float64 [1 | G, COLUMNS]
    factor: str
    n_samples: int
    most: int  # draws of a prompt
    max_new_tokens: int
    seed: int
    slots: int
    keep_unfinished: bool
    bar: Any
    stateful: bool
    records: list[tuple[Tensor, ...]] = field(default_factory=list)

    def run(self, ids: Tensor, mask: Tensor) -> None:
        """Draw until every prompt has enough accepted strings or no draws left."""
        lm = self.given.lm
        self._read = lm.prefill(ids, mask)
        self.device = self._read[0].device
        self.params, self.names = self.params.to(self.device), self.names.to(self.device)
        count = torch.zeros(len(ids), dtype=torch.int64, device=self.device)
        self.started, self.decided, self.accepted = count, count.clone(), count.clone()
        self.highest = count - 1  # accepted draw
        rows: _Rows | None = self._fresh(*self._next(self.slots))
        while rows is not None:
            rows = self._advance(rows, self._step(rows))

    def _next(self, free: int) -> tuple[Tensor, Tensor]:
        """Prompt and number of the next draws, at most `free`: as many as acceptance calls for."""
        short = self.n_samples - self.accepted
        rate = (self.accepted + 1) / (self.decided + 1)
        wanted = (short / rate).ceil().long() - (self.started - self.decided)
        wanted = torch.where(short > 0, wanted, 0).clamp(min=0)
        wanted = torch.minimum(wanted, self.most - self.started)
        last = wanted.cumsum(0).clamp(max=free)
        wanted = last.diff(prepend=last.new_zeros(1))
        prompt = torch.arange(len(wanted), device=self.device).repeat_interleave(wanted)
        first = (last - wanted)[prompt]
        return prompt, self.started[prompt] + torch.arange(len(prompt), device=self.device) - first

    def _fresh(self, prompt: Tensor, draw: Tensor) -> _Rows | None:
        """Rows that begin after their prompts; None when there are none."""
        if len(prompt) == 0:
            return None
        self.started += torch.bincount(prompt, minlength=len(self.started))
        logits, state = self._read
        names = sequence_id(self.names[prompt], draw)
        position = torch.arange(self.max_new_tokens, device=self.device)
        bits = rng.philox(self.seed, names[:, None], position, rng.REJECTION)[0]
        tokens = torch.full_like(bits, self.given.pad)
        sums = SequenceState.start(
            *(len(prompt),),
            eos_token_id=self.given.eos,
            pad_token_id=self.given.pad,
            sequence_ids=names,
            device=self.device,
        )
        rest = (sums, logits[prompt], self.given.lm.select(state, prompt))
        alive = torch.ones_like(prompt, dtype=torch.bool)
        log_u = _exact.log(rng.uniform(bits))
        return _Rows(prompt, draw, alive, tokens, log_u, *rest)

    def _step(self, rows: _Rows) -> Tensor:
        """Draw a token for every live row and decide on it; return what is fed to the model."""
        params = self.params if len(self.params) == 1 else self.params[rows.prompt]
        at = rows.sums.length.clone()
        adaptor = PackedAdaptors(params, len(at), self.stateful)
        step = sample(rows.logits, adaptor, seed=self.seed, state=rows.sums, strict=False)
        token = step.token.clamp(min=0)
        column = at.clamp(max=self.max_new_tokens - 1)[:, None]
        drawn = torch.where(rows.alive, token, self.given.pad)[:, None]
        live = rows.alive & (step.status == 0)
        rows.tokens = torch.where(live[:, None], rows.tokens.scatter(1, column, drawn), rows.tokens)
        passed = rows.log_u.gather(1, column)[:, 0] < getattr(step, self.factor)
        failed = rows.alive & ~(passed & (step.status == 0))
        capped = rows.sums.length == self.max_new_tokens
        ended = rows.alive & ~failed & (rows.sums.finished | capped)
        won = ended & (rows.sums.finished | self.keep_unfinished)
        self._record(rows, won, failed | ended)
        rows.alive = rows.alive & ~failed & ~ended
        rows.alive &= ~self._enough(rows)
        rows.sums.finished |= ~rows.alive
        return token

    def _record(self, rows: _Rows, won: Tensor, decided: Tensor) -> None:
        index, size = won.nonzero()[:, 0], len(self.started)
        self.decided += torch.bincount(rows.prompt[decided], minlength=size)
        if len(index) == 0:
            return
        prompt, draw = rows.prompt[index], rows.draw[index]
        before = self.accepted.clamp(max=self.n_samples).sum()
        self.accepted += torch.bincount(prompt, minlength=size)
        self.highest.scatter_reduce_(0, prompt, draw, "amax")
        sums = rows.sums.sums[: len(SUMS), index].t()
        ended = (rows.sums.length[index], rows.sums.finished[index], sums)
        self.records.append((prompt, draw, rows.tokens[index], *ended))
        if self.bar is not None:
            self.bar.update(int(self.accepted.clamp(max=self.n_samples).sum() - before))

    def _enough(self, rows: _Rows) -> Tensor:
        """Rows that cannot be among the first n_samples accepted draws of their prompt."""
        bound = torch.where(self.accepted >= self.n_samples, self.highest, NO_DRAW)
        return rows.draw > bound[rows.prompt]

    def _advance(self, rows: _Rows, token: Tensor) -> _Rows | None:
        """Feed the tokens and fill free slots with the next draws."""
        lm: Any = self.given.lm
        live = rows.alive.nonzero()[:, 0]
        if len(live) == 0:
            return self._fresh(*self._next(self.slots))
        joining = None
        if hasattr(lm, "join"):
            following = self._next(self.slots - len(live))
            joining = following if len(following[0]) >= JOIN_AT * self.slots else None
        if len(live) < len(rows.alive) and (joining or len(live) <= SHRINK_AT * len(rows.alive)):
            rows, token = rows.select(lm, live), token[live]
        rows.logits, rows.state = lm.step(token, rows.state)
        fresh = self._fresh(*joining) if joining else None
        return rows if fresh is None else rows.join(lm, fresh)

    def result(self, first: int) -> tuple[Tensor, ...]:
        """Return prompt (of all), rank, draw, tokens, length, finished, sums [k, 5] of the samples.

        And the draws of each prompt, counted up to its last sample.
        """
        empty = torch.zeros(0, dtype=torch.int64, device=self.device)
        sums = torch.zeros(0, len(SUMS), dtype=torch.float64, device=self.device)
        none = (empty, empty, empty.new_zeros(0, self.max_new_tokens), empty, empty.bool(), sums)
        columns = [torch.cat(column) for column in zip(none, *self.records, strict=True)]
        order = sequence_id(columns[0], columns[1]).argsort()
        prompt, *rest = (column[order] for column in columns)
        begin = self.accepted.cumsum(0) - self.accepted
        rank = torch.arange(len(prompt), device=self.device) - begin[prompt]
        kept = rank < self.n_samples
        prompt, rank, *rest = (column[kept] for column in (prompt, rank, *rest))
        last = torch.zeros_like(self.started).scatter_reduce_(0, prompt, rest[0] + 1, "amax")
        n_drawn = torch.where(self.accepted >= self.n_samples, last, self.started)
        return prompt + first, rank, *rest, n_drawn
