"""Declarations of the ops on [B, V]: schemas, shapes, default kernels, the gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aligndec.ops.types import Op
from aligndec.reference import adaptor as reference
from aligndec.reference import gradient, sets

__all__ = ["OPS", "backward", "setup_context"]

_NINE = (
    "Tensor token, Tensor log_p, Tensor log_q, Tensor log_z, Tensor log_kept, Tensor entropy, "
    "Tensor kl, Tensor n_kept, Tensor status"
)


def _nine(logits: Tensor, shape: Sequence[int]) -> tuple[Tensor, ...]:
    """Empty token, six floats, n_kept and status of the given shape."""
    whole = [logits.new_empty(shape, dtype=torch.int64) for _ in range(3)]
    floats = [logits.new_empty(shape, dtype=torch.float64) for _ in range(6)]
    return (whole[0], *floats, whole[1], whole[2])


def _fake_step(logits: Tensor, params: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    return _nine(logits, (logits.shape[0],))


def _fake_score(
    logits: Tensor, params: Tensor, allowed: Any, valid_vocab: int, tokens: Tensor, *rest: Any
) -> tuple[Tensor, ...]:
    n = tokens.shape[0]
    cut = logits.new_empty((7, n), dtype=torch.float64)
    mass = logits.new_empty((2, n), dtype=torch.int64)
    return (*_nine(logits, (n,)), cut, mass)


def _fake_grid(
    logits: Tensor, params: Tensor, allowed: Any, valid_vocab: int, tokens: Tensor, *rest: Any
) -> tuple[Tensor, ...]:
    shape = (params.shape[0], tokens.shape[0])
    return (*_nine(logits, shape), logits.new_empty((2, *shape), dtype=torch.int64))


def _fake_mask(logits: Tensor, *rest: Any) -> Tensor:
    return logits.new_empty(logits.shape, dtype=torch.bool)


def _fake_sets(logits: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    rows, nnz = logits.shape[0], torch.library.get_ctx().new_dynamic_size()
    ids = logits.new_empty(nnz, dtype=torch.int32)
    offsets = logits.new_empty(rows + 1, dtype=torch.int64)
    return ids, offsets, logits.new_empty(rows, dtype=torch.bool)


def _fake_step_sets(logits: Tensor, *rest: Any) -> tuple[Tensor, ...]:
    return (*_nine(logits, (logits.shape[0],)), *_fake_sets(logits))


def _fake_backward(
    grad_log_p: Tensor, grad_log_q: Tensor, grad_log_z: Tensor, logits: Tensor, *rest: Any
) -> Tensor:
    return logits.new_empty(logits.shape)


def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    """Keep what the gradient of `adaptor_score` needs."""
    gradient.save_for_gradient(ctx, inputs, output)


def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    """Gradient of scored tokens with respect to the logits, the kept set held fixed."""
    inputs = gradient.gradient_inputs(ctx, grads)
    grad = torch.ops.aligndec.adaptor_score_backward.default(*inputs)
    return grad, *(None,) * (ctx.inputs - 1)


# Sparse rows, one a result: a bias on the logits, and given kept sets.
_BIAS = "Tensor? bias_ids=None, Tensor? bias_offsets=None, Tensor? bias_values=None"
_KEPT = "Tensor? kept_ids=None, Tensor? kept_offsets=None, Tensor? kept_complete=None"
_SETS = "Tensor ids, Tensor offsets, Tensor complete"
_DRAW = (
    "int seed, Tensor? seeds, Tensor? sequence_ids, int position, Tensor? positions, "
    "Tensor? uniforms, Tensor(a!)? sums, Tensor(b!)? length, Tensor(c!)? finished, "
    "Tensor? eos, int pad, bool strict"
)

OPS = {
    "adaptor_step": Op(
        "(Tensor logits, Tensor params, Tensor? allowed, int valid_vocab, Tensor? tokens, "
        f"{_DRAW}, {_BIAS}, {_KEPT}) -> ({_NINE})",
        reference.adaptor_step,
        _fake_step,
    ),
    "adaptor_score": Op(
        "(Tensor logits, Tensor params, Tensor? allowed, int valid_vocab, Tensor tokens, "
        f"Tensor? rows, {_BIAS}, {_KEPT}) -> ({_NINE}, Tensor cut, Tensor mass)",
        reference.adaptor_score,
        _fake_score,
    ),
    "adaptor_grid": Op(
        "(Tensor logits, Tensor params, Tensor? allowed, int valid_vocab, Tensor tokens, "
        f"{_BIAS}) -> ({_NINE}, Tensor mass)",
        reference.adaptor_grid,
        _fake_grid,
    ),
    "adaptor_mask": Op(
        f"(Tensor logits, Tensor params, Tensor? allowed, int valid_vocab, {_BIAS}) -> Tensor",
        reference.adaptor_mask,
        _fake_mask,
    ),
    "adaptor_sets": Op(
        "(Tensor logits, Tensor params, Tensor? allowed, int valid_vocab, Tensor? sums, "
        f"int max_ids, {_BIAS}) -> ({_SETS})",
        sets.adaptor_sets,
        _fake_sets,
    ),
    "adaptor_step_sets": Op(
        "(Tensor logits, Tensor params, Tensor? allowed, int valid_vocab, "
        f"{_DRAW}, int max_ids, {_BIAS}) -> ({_NINE}, {_SETS})",
        sets.adaptor_step_sets,
        _fake_step_sets,
    ),
    "adaptor_score_backward": Op(
        "(Tensor grad_log_p, Tensor grad_log_q, Tensor grad_log_z, Tensor logits, Tensor params, "
        "Tensor? allowed, int valid_vocab, Tensor tokens, Tensor? rows, Tensor cut, "
        "Tensor status, Tensor? grad_log_kept=None, Tensor? log_kept=None, "
        f"{_BIAS}, {_KEPT}) -> Tensor",
        gradient.adaptor_score_backward,
        _fake_backward,
    ),
}
