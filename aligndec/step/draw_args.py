"""The arguments of an op that draws: checks and defaults of `sample` and `sample_with_sets`."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aligndec.ops import Ops
from aligndec.shared import draw_uniforms, positions_of, seed_of, vector
from aligndec.step import checks as check
from aligndec.step.params import adaptor_params
from aligndec.step.state import SequenceState
from aligndec.step.types import is_strict, warn_same_uniform

__all__ = ["draw_args"]


def draw_args(
    function: str,
    ops: Ops,
    logits: Tensor,
    adaptor: Any,
    seed: Any,
    sequence_ids: Tensor | None,
    positions: Any,
    uniforms: Tensor | None,
    state: SequenceState | None,
    allowed: Tensor | None,
    valid_vocab: int | None,
    strict: bool | None,
) -> tuple[tuple[Tensor, Tensor, Tensor | None, int], tuple[Any, ...]]:
    """Return (logits, params, allowed, valid_vocab) and what follows, from the seed to strict."""
    vocab = check.logits_of(function, logits, ops.dtypes, True)
    if logits.requires_grad:
        logits = logits.detach()
    batch, device = logits.shape[0], logits.device
    params = adaptor_params(function, adaptor, (batch,), device, state)
    seeds = position_ids = sums = length = finished = eos = None
    pad = position = 0
    if type(seed) is not int or not 0 <= seed < 2**63:
        seed, seeds = seed_of(function, seed, batch, device)
    if positions is not None:
        position, position_ids = positions_of(function, positions, batch, device)
    if state is not None:
        check.state_of(function, state, batch, device)
        sums, length, finished = state.sums, state.length, state.finished
        eos, pad = state.eos, state.pad_token_id
        if positions is not None and position_ids is None:
            position_ids = torch.full_like(length, position)
    elif positions is None and uniforms is None:
        warn_same_uniform()
    if sequence_ids is None:
        sequence_ids = None if state is None else state.sequence_ids
    else:
        sequence_ids = vector(function, "sequence_ids", sequence_ids, batch, device)
    if uniforms is not None:
        uniforms = draw_uniforms(function, uniforms, batch, device)
    if allowed is not None:
        allowed = check.allowed_mask(function, allowed, vocab, (batch,), device)
    valid = check.valid_ids(function, valid_vocab, vocab)
    strict = is_strict(strict, logits)
    bits = seed, seeds, sequence_ids, position, position_ids, uniforms
    return (logits, params, allowed, valid), (*bits, sums, length, finished, eos, pad, strict)
