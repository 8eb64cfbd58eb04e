"""The decoding loop: one prefilled group of prompts, many rows, one fused step per token."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from aligndec.generation.kept import SetRecords, most_ids
from aligndec.generation.records import Records
from aligndec.generation.stops import Stops
from aligndec.models import StepLM
from aligndec.step import (
    SUMS,
    Adaptor,
    PackedAdaptors,
    RunningPenalties,
    SequenceState,
    Step,
    pack,
    sample,
    sample_with_sets,
    score,
)

__all__ = ["Decoder"]

# Finished rows are dropped once at most this share of the batch still runs. Gathering a cache costs
# about one step, so halving keeps all gathers together below the cost of two steps.
COMPACT_AT = 0.5
# Asking a CUDA device whether rows are finished waits for it; the CPU knows at once.
CPU_CHECK_EVERY, CUDA_CHECK_EVERY = 1, 8


@dataclass
class _Batch:
    """The rows that are decoded together; the last two fields belong to the reference model."""

    rows: Tensor  # int64 [B], row of the records
    sums: SequenceState
    adaptor: PackedAdaptors
    said: RunningPenalties | None
    stops: Stops | None
    status: Tensor  # int64 [B], of the bad row that ended the string
    log_p_ref: Tensor | None  # float64 [B]
    logits: Tensor
    state: Any
    ref_logits: Tensor | None
    ref_state: Any


@dataclass
class Decoder:
    """The loop of one `generate` call; it holds the group of prompts that was read last."""

    lm: StepLM
    reference: StepLM | None
    adaptors: tuple[Adaptor, ...]
    n_rows: int
    n_draws: int
    max_new_tokens: int
    seed: int
    eos: tuple[int, ...]
    pad: int
    per_token: bool
    keep_sets: bool | int
    penalties: RunningPenalties | None  # of all prompts, as the next
    stops: Stops | None
    on_token: Callable[[Tensor, Tensor], object] | None
    bar: Any  # tqdm or None
    records: Records | None = None

    def prefill(self, ids: Tensor, mask: Tensor) -> None:
        """Read a group of prompts, left padded [G, T]."""
        self._read: tuple[Tensor, Any] = self.lm.prefill(ids, mask)
        self._ref_read: tuple[Tensor | None, Any] = (None, None)
        if self.reference is not None:
            self._ref_read = self.reference.prefill(ids, mask)
        if self.records is None:  # the first logits say where the records live
            names = SUMS if self.reference is None else (*SUMS, "log_p_ref")
            kept = None if self.keep_sets is False else SetRecords(most_ids(self.keep_sets))
            self.records = Records(
                *(self.n_rows, self.max_new_tokens, self.pad, names, self.per_token, kept),
                self._read[0].device,
            )

    def run(self, rows: Tensor, prompt: Tensor, sequence_ids: Tensor, *, last: bool) -> Records:
        """Decode rows [B] of the records, from the prompts `prompt` [B] of the group read last.

        `last`: no other rows continue these prompts, so that their state can be let go.
        """
        batch, records = self._start(rows, prompt, sequence_ids), self.records
        assert records is not None
        if last:
            del self._read, self._ref_read
        on_cpu = batch.logits.device.type == "cpu"
        check_every = CPU_CHECK_EVERY if on_cpu else CUDA_CHECK_EVERY
        for t in range(self.max_new_tokens):
            token = self._draw(t, batch, records)
            if t + 1 == self.max_new_tokens:
                break
            if (t + 1) % check_every == 0:
                live = (~batch.sums.finished).nonzero()[:, 0]
                if len(live) <= COMPACT_AT * len(batch.rows):
                    self._write(batch)
                    self._advance(len(batch.rows) - len(live), self.max_new_tokens - t - 1)
                    if len(live) == 0:
                        return records
                    token, batch = token[live], self._compact(batch, live)
            batch.logits, batch.state = self.lm.step(token, batch.state)
            if self.reference is not None:
                batch.ref_logits, batch.ref_state = self.reference.step(token, batch.ref_state)
        self._write(batch)
        return records

    def _start(self, rows: Tensor, prompt: Tensor, sequence_ids: Tensor) -> _Batch:
        """Fan the prefilled prompts out to one row per draw."""
        logits, state, device = *self._read, self._read[0].device
        ref_logits, ref_state = self._ref_read
        whole = torch.arange(logits.shape[0])
        # Selecting also protects the prefilled state from the steps: a group may be run again.
        if not (self.n_draws == 1 and torch.equal(prompt, whole)):
            logits, state = logits[prompt.to(device)], self.lm.select(state, prompt)
            if self.reference is not None and ref_logits is not None:
                ref_logits = ref_logits[prompt.to(ref_logits.device)]
                ref_state = self.reference.select(ref_state, prompt)
        chosen: Any = self.adaptors[0]
        if len(self.adaptors) > 1:
            chosen = [self.adaptors[p] for p in (rows // self.n_draws).tolist()]
        said, stops = self.penalties, self.stops
        n = len(rows)
        sums = SequenceState.start(
            *(n,),
            eos_token_id=self.eos,
            pad_token_id=self.pad,
            sequence_ids=sequence_ids,
            device=device,
        )
        return _Batch(
            rows=rows.to(device),
            sums=sums,
            adaptor=pack(chosen, n, device=device),
            said=None if said is None else said.select(rows // self.n_draws),
            stops=None if stops is None else stops.select(rows // self.n_draws).to(device),
            status=torch.zeros_like(sums.length),
            log_p_ref=None if ref_logits is None else torch.zeros_like(sums.sum_log_p),
            logits=logits,
            state=state,
            ref_logits=ref_logits,
            ref_state=ref_state,
        )

    def _draw(self, t: int, batch: _Batch, records: Records) -> Tensor:
        """Draw and record token t of every row; return what is fed to the model."""
        was_finished = batch.sums.finished.clone()
        step = self._sample(t, batch, records.kept)
        bad = step.token < 0
        batch.status = torch.where(bad, step.status, batch.status)
        token = torch.where(bad, self.pad, step.token)
        if batch.said is not None:
            batch.said.append(token)
        records.tokens[:, t].index_copy_(0, batch.rows, token)
        if batch.stops is not None:
            now = batch.stops.append(token) & ~(was_finished | batch.sums.finished)
            batch.stops.stopped |= now
            batch.sums.finished |= now
        ref = None
        if batch.ref_logits is not None and batch.log_p_ref is not None:
            # Score mode skips rows with a negative token: they add 0.
            scored = torch.where(was_finished, -1, step.token).to(batch.ref_logits.device)
            ref = score(batch.ref_logits, scored, strict=False).log_p.to(token.device)
            batch.log_p_ref += ref
        if records.per_token is not None:
            self._record(t, batch, records.per_token, step, ref, bad)
        if self.on_token is not None:
            live = ~was_finished & ~bad
            self.on_token(batch.rows[live], token[live])
        self._advance(len(batch.rows), 1)
        return token

    def _sample(self, t: int, batch: _Batch, kept: SetRecords | None) -> Step:
        at: Any = {"seed": self.seed, "state": batch.sums, "strict": False}
        if batch.said is not None:
            at["bias"] = batch.said.bias(batch.logits)
        if kept is None:
            return sample(batch.logits, batch.adaptor, **at)
        step, sets = sample_with_sets(batch.logits, batch.adaptor, max_ids=kept.max_ids, **at)
        kept.add(t, batch.rows, sets)
        return step

    def _record(
        self, t: int, batch: _Batch, out: Tensor, step: Step, ref: Tensor | None, bad: Tensor
    ) -> None:
        values = [step.log_p, step.log_q, step.log_z, step.log_kept, step.kl]
        # A bad row drew nothing, so nothing counts; finished rows are zero already.
        column = torch.stack(values).masked_fill_(bad, 0.0)
        if ref is not None:
            column = torch.cat([column, ref[None]])
        out[:, :, t].index_copy_(1, batch.rows, column)

    def _write(self, batch: _Batch) -> None:
        stopped = None if batch.stops is None else batch.stops.stopped
        assert self.records is not None
        self.records.write_sums(batch.rows, batch.sums, batch.status, batch.log_p_ref, stopped)

    def _compact(self, batch: _Batch, live: Tensor) -> _Batch:
        """Keep the rows `live` only, so that finished rows stop costing."""
        params = batch.adaptor.params
        many = params.shape[0] > 1
        ref_logits, ref_state = batch.ref_logits, batch.ref_state
        if self.reference is not None:
            ref_state = self.reference.select(ref_state, live)
        return _Batch(
            rows=batch.rows[live],
            sums=batch.sums.select(live),
            adaptor=replace(
                batch.adaptor, params=params[live] if many else params, batch=len(live)
            ),
            said=None if batch.said is None else batch.said.select(live),
            stops=None if batch.stops is None else batch.stops.select(live),
            status=batch.status[live],
            log_p_ref=None if batch.log_p_ref is None else batch.log_p_ref[live],
            logits=batch.logits,  # replaced by the next step
            state=self.lm.select(batch.state, live),
            ref_logits=ref_logits,
            ref_state=ref_state,
        )

    def _advance(self, rows: int, tokens: int) -> None:
        if self.bar is not None:
            self.bar.update(rows * tokens)
