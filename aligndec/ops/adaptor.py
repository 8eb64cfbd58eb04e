"""Declarations of the ops on [B, V]: schemas, shapes, default kernels, the gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aligndec.ops.types import Op
from aligndec.reference import adaptor as reference

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
    logits: Tensor, params: Tensor, allowed: Any, valid_vocab: int, tokens: Tensor, rows: Any
) -> tuple[Tensor, ...]:
    n = tokens.shape[0]
    cut = logits.new_empty((7, n), dtype=torch.float64)
    mass = logits.new_empty((2, n), dtype=torch.int64)
    return (*_nine(logits, (n,)), cut, mass)


def _fake_grid(
    logits: Tensor, params: Tensor, allowed: Any, valid_vocab: int, tokens: Tensor
) -> tuple[Tensor, ...]:
    shape = (params.shape[0], tokens.shape[0])
    return (*_nine(logits, shape), logits.new_empty((2, *shape), dtype=torch.int64))


def _fake_mask(logits: Tensor, params: Tensor, allowed: Any, valid_vocab: int) -> Tensor:
    return logits.new_empty(logits.shape, dtype=torch.bool)


def _fake_backward(
    grad_log_p: Tensor, grad_log_q: Tensor, grad_log_z: Tensor, logits: Tensor, *rest: Any
) -> Tensor:
    return logits.new_empty(logits.shape)


def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    """Keep what the gradient of `adaptor_score` needs."""
    logits, params, allowed, valid_vocab, tokens, rows = inputs
    ctx.save_for_backward(logits, params, allowed, tokens, rows, output[9], output[8])
    ctx.valid_vocab = valid_vocab
    # entropy, kl and log_kept are for the books only.
    ctx.mark_non_differentiable(*(output[i] for i in (0, 4, 5, 6, 7, 8, 9, 10)))


def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
    """Gradient of log_p, log_q and log_z with respect to the logits, the kept set held fixed."""
    logits, params, allowed, tokens, rows, cut, status = ctx.saved_tensors
    zeros = torch.zeros_like(status, dtype=torch.float64)
    heads = [zeros if grads[i] is None else grads[i] for i in (1, 2, 3)]
    grad = torch.ops.aligndec.adaptor_score_backward.default(
        *heads, logits, params, allowed, ctx.valid_vocab, tokens, rows, cut, status
    )
    return grad, None, None, None, None, None


OPS = {
    "adaptor_step": Op(
        "(Tensor logits, Tensor params, Tensor? allowed, int valid_vocab, Tensor? tokens, "
        "int seed, Tensor? seeds, Tensor? sequence_ids, int position, Tensor? positions, "
        "Tensor? uniforms, Tensor(a!)? sums, Tensor(b!)? length, Tensor(c!)? finished, "
        f"Tensor? eos, int pad, bool strict) -> ({_NINE})",
        reference.adaptor_step,
        _fake_step,
    ),
    "adaptor_score": Op(
        "(Tensor logits, Tensor params, Tensor? allowed, int valid_vocab, Tensor tokens, "
        f"Tensor? rows) -> ({_NINE}, Tensor cut, Tensor mass)",
        reference.adaptor_score,
        _fake_score,
    ),
    "adaptor_grid": Op(
        "(Tensor logits, Tensor params, Tensor? allowed, int valid_vocab, Tensor tokens) -> "
        f"({_NINE}, Tensor mass)",
        reference.adaptor_grid,
        _fake_grid,
    ),
    "adaptor_mask": Op(
        "(Tensor logits, Tensor params, Tensor? allowed, int valid_vocab) -> Tensor",
        reference.adaptor_mask,
        _fake_mask,
    ),
    "adaptor_score_backward": Op(
        "(Tensor grad_log_p, Tensor grad_log_q, Tensor grad_log_z, Tensor logits, Tensor params, "
        "Tensor? allowed, int valid_vocab, Tensor tokens, Tensor? rows, Tensor cut, "
        "Tensor status) -> Tensor",
        reference.adaptor_score_backward,
        _fake_backward,
    ),
}
