"""The kept sets themselves, as sparse rows, in eager PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor

from aligndec.reference.adaptor import adaptor_step, draw_counters, thrown
from aligndec.reference.books import Books, books
from aligndec.reference.mirostat import mirostat_params
from aligndec.reference.weights import sparse
from aligndec.reference.xtc import with_coin
from aligndec.shared import offsets_of

__all__ = ["adaptor_sets", "adaptor_step_sets"]


def adaptor_sets(
    logits: Tensor,
    params: Tensor,
    allowed: Tensor | None,
    valid_vocab: int,
    sums: Tensor | None,
    max_ids: int,
    bias_ids: Tensor | None = None,
    bias_offsets: Tensor | None = None,
    bias_values: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the kept sets as ids int32 [nnz], offsets int64 [R + 1] and complete bool [R].

    A set of more than `max_ids` tokens is not stored and not complete; bad rows have an empty set.
    `sums` float64 [6, R], of a state, holds the thresholds of mirostat. Of xtc: without the coin.
    """
    if sums is not None:
        params = mirostat_params(params, sums[5])
    bias = sparse(bias_ids, bias_offsets, bias_values)
    return _listed(books(logits, with_coin(params, None), allowed, valid_vocab, bias), max_ids)


def adaptor_step_sets(
    logits: Tensor,
    params: Tensor,
    allowed: Tensor | None,
    valid_vocab: int,
    seed: int,
    seeds: Tensor | None,
    sequence_ids: Tensor | None,
    position: int,
    positions: Tensor | None,
    uniforms: Tensor | None,
    sums: Tensor | None,
    length: Tensor | None,
    finished: Tensor | None,
    eos: Tensor | None,
    pad: int,
    strict: bool,
    max_ids: int,
    bias_ids: Tensor | None = None,
    bias_offsets: Tensor | None = None,
    bias_values: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Draw as `adaptor_step` does, and list the kept sets.

    Returns
    -------
    twelve tensors
        The nine of `adaptor_step`, then ids, offsets and complete as in `adaptor_sets`. Finished
        rows have an empty set.
    """
    batch, bias = (logits, params, allowed, valid_vocab), (bias_ids, bias_offsets, bias_values)
    own = params if sums is None else mirostat_params(params, sums[5])
    where = draw_counters(logits, sequence_ids, position, positions, length)
    own = thrown(own, seed if seeds is None else seeds, *where)
    law = books(logits, own, allowed, valid_vocab, sparse(*bias))
    ids, offsets, complete = _listed(law, max_ids)
    if finished is not None:
        lengths = offsets.diff()
        ids = ids[(~finished).repeat_interleave(lengths)]
        offsets, complete = offsets_of(torch.where(finished, 0, lengths)), complete | finished
    nine = adaptor_step(
        *(*batch, None, seed, seeds, sequence_ids, position, positions, uniforms),
        *(sums, length, finished, eos, pad, strict, *bias),
    )
    return *nine, ids, offsets, complete


def _listed(law: Books, max_ids: int) -> tuple[Tensor, Tensor, Tensor]:
    keep = law.keep & (law.rows.bad == 0)[:, None]
    complete = keep.sum(1) <= max_ids
    stored = keep & complete[:, None]
    return stored.nonzero()[:, 1].int(), offsets_of(stored.sum(1)), complete
