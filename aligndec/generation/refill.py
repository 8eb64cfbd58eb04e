"""Continuous batching: strings that ended make room for the next ones of the queue."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aligndec.generation.decode import COMPACT_AT
from aligndec.generation.lengths import check_lengths
from aligndec.generation.prepare import Prepared, prepare
from aligndec.generation.prompts import Prompts, trim
from aligndec.generation.records import Records
from aligndec.generation.result import Generation, sequence_id
from aligndec.models import StepLM, as_step_lm
from aligndec.shared import at_least, plain_arguments
from aligndec.step import SUMS, Adaptor, SequenceState, pack, sample, score

__all__ = ["JOIN_AT", "generate_refilled"]

JOIN_AT = 0.25
"""New strings begin once this share of the slots is free: joining copies the cache."""


@dataclass
class _Running:
    """Strings that are decoded together; the last two fields belong to the reference model."""

    rows: Tensor  # int64 [B], row of the records
    sums: SequenceState
    status: Tensor  # int64 [B]
    ref: Tensor | None  # float64 [B], Σ log_p of the reference
    models: list[tuple[StepLM, Tensor, Any]]  # each with its logits [B, V] and state

    def select(self, index: Tensor) -> _Running:
        return _Running(
            self.rows[index],
            self.sums.select(index),
            self.status[index],
            None if self.ref is None else self.ref[index],
            [(lm, logits[index], lm.select(state, index)) for lm, logits, state in self.models],
        )

    def join(self, other: _Running) -> _Running:
        return _Running(
            torch.cat([self.rows, other.rows]),
            self.sums.join(other.sums),
            torch.cat([self.status, other.status]),
            None if self.ref is None or other.ref is None else torch.cat([self.ref, other.ref]),
            [
                (lm, torch.cat([x, y]), lm.join(s, t))  # type: ignore[attr-defined]
                for (lm, x, s), (_, y, t) in zip(self.models, other.models, strict=True)
            ],
        )


@plain_arguments
@torch.no_grad()
def generate_refilled(
    model: Any,
    input_ids: Prompts,
    *,
    adaptor: Adaptor = Adaptor(),
    max_new_tokens: int,
    seed: int,
    num_return_sequences: int = 1,
    prompt_ids: Tensor | None = None,
    slots: int,
    reference: Any = None,
) -> Generation:
    """Draw the strings that `generate` draws, at most `slots` at a time, refilled as they end.

    Strings begin in the order of their prompts' lengths, so that like lengths run together, and
    take the place of strings that ended. Which strings run together depends on the arguments alone.
    A model without `join` (see `StepLM`) has the next strings wait until all have ended.

    Parameters
    ----------
    model, input_ids, adaptor, max_new_tokens, seed, num_return_sequences, prompt_ids, reference
        As in `generate`.
    slots : int
        Rows decoded together at most, >= 1.

    Returns
    -------
    Generation
        In the order of `generate`; equal to its result, given equal logits.
    """
    at_least("generate_refilled", 1, slots=slots, max_new_tokens=max_new_tokens)
    given = prepare(
        *("generate_refilled", model, input_ids, None),
        adaptor=adaptor,
        prompt_ids=prompt_ids,
        eos_token_id=None,
        pad_token_id=None,
    )
    check_lengths("generate_refilled", given.lm, given.mask, max_new_tokens, "max_new_tokens")
    queue = _Queue(given, num_return_sequences)
    models = [given.lm] + ([] if reference is None else [as_step_lm(reference)])
    names = SUMS if reference is None else (*SUMS, "log_p_ref")
    running = queue.open(models, slots)
    device = running.sums.length.device
    records = Records(len(queue.order), max_new_tokens, given.pad, names, False, None, device)
    joins = all(hasattr(lm, "join") for lm in models)
    while True:
        token = _draw(running, records, given, seed, max_new_tokens)
        live = (~running.sums.finished).nonzero()[:, 0]
        free = slots - len(live)
        if len(live) == 0:
            if not queue.left:
                break
            running = queue.open(models, slots)
            continue
        fresh = queue.left > 0 and joins and free >= JOIN_AT * slots
        if fresh or len(live) <= COMPACT_AT * len(running.rows):
            running, token = running.select(live), token[live]
        running.models = [(lm, *lm.step(token, state)) for lm, _, state in running.models]
        if fresh:
            running = running.join(queue.open(models, free))
    draws = num_return_sequences
    tensors: dict[str, Any] = {
        "input_ids": given.ids,
        "attention_mask": given.mask,
        "prompt_ids": given.names,
        "prompt_index": torch.arange(len(given.ids)).repeat_interleave(draws),
        "draw": torch.arange(draws).repeat(len(given.ids)),
    }
    return Generation(
        **records.fields(),
        **{name: tensor.to(device) for name, tensor in tensors.items()},
        seed=seed,
        max_new_tokens=max_new_tokens,
        pad_token_id=given.pad,
        eos_token_id=given.eos,
        adaptors=given.adaptors,
    )


class _Queue:
    """Strings that have not begun, those of short prompts first."""

    def __init__(self, given: Prepared, draws: int) -> None:
        self.given, self.draws = given, draws
        by_length = torch.argsort(given.mask.sum(1), stable=True)
        self.order = (by_length[:, None] * draws + torch.arange(draws)).reshape(-1)
        self.begun = 0

    @property
    def left(self) -> int:
        return len(self.order) - self.begun

    def open(self, models: list[StepLM], count: int) -> _Running:
        """Read the prompts of the next strings, each prompt once."""
        rows = self.order[self.begun : self.begun + count]
        self.begun += len(rows)
        given = self.given
        prompts, which = torch.unique_consecutive(rows // self.draws, return_inverse=True)
        ids, mask = trim(given.ids[prompts], given.mask[prompts])
        read = []
        for lm in models:
            logits, state = lm.prefill(ids, mask)
            if len(prompts) < len(rows):
                logits, state = logits[which.to(logits.device)], lm.select(state, which)
            read.append((lm, logits, state))
        device = read[0][1].device
        names = sequence_id(given.names[rows // self.draws], rows % self.draws)
        sums = SequenceState.start(
            *(len(rows),),
            eos_token_id=given.eos,
            pad_token_id=given.pad,
            sequence_ids=names,
            device=device,
        )
        ref = torch.zeros_like(sums.sum_log_p) if len(models) > 1 else None
        return _Running(rows.to(device), sums, torch.zeros_like(sums.length), ref, read)


def _draw(
    running: _Running, records: Records, given: Prepared, seed: int, max_new_tokens: int
) -> Tensor:
    """Draw the next token of every string; what has ended is written down."""
    sums, logits = running.sums, running.models[0][1]
    at, was = sums.length.clone(), sums.finished.clone()
    adaptor = pack(given.adaptors[0], len(at), device=at.device)
    step = sample(logits, adaptor, seed=seed, state=sums, strict=False)
    bad = step.token < 0
    running.status = torch.where(bad, step.status, running.status)
    token = torch.where(bad | was, given.pad, step.token)
    drew = ~was & ~bad
    records.tokens[running.rows[drew], at[drew]] = token[drew]
    if running.ref is not None:
        # Score mode skips rows with a negative token: they add 0.
        other = running.models[1][1]
        scored = torch.where(was, -1, step.token).to(other.device)
        running.ref = running.ref + score(other, scored, strict=False).log_p.to(at.device)
    ended = ~was & (sums.finished | (sums.length >= max_new_tokens))
    if bool(ended.any()):
        new = ended.nonzero()[:, 0]
        ref = None if running.ref is None else running.ref[new]
        records.write_sums(running.rows[new], sums.select(new), running.status[new], ref, None)
        sums.finished |= ended  # at the cap no end token was drawn, but the string goes no further
    return token
