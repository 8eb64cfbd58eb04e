"""The gradient of scored tokens in eager PyTorch, and how autograd comes to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aligndec.reference.adaptor import adaptor_score, picked_rows
from aligndec.reference.dynamic import temperature_slope
from aligndec.reference.weights import edit_rows, read_rows, sparse
from aligndec.shared import dense

__all__ = [
    "adaptor_score_backward",
    "differentiable_score",
    "gradient_inputs",
    "save_for_gradient",
]


def adaptor_score_backward(
    grad_log_p: Tensor,
    grad_log_q: Tensor,
    grad_log_z: Tensor,
    logits: Tensor,
    params: Tensor,
    allowed: Tensor | None,
    valid_vocab: int,
    tokens: Tensor,
    rows: Tensor | None,
    cut: Tensor,
    status: Tensor,
    grad_log_kept: Tensor | None = None,
    log_kept: Tensor | None = None,
    bias_ids: Tensor | None = None,
    bias_offsets: Tensor | None = None,
    bias_values: Tensor | None = None,
    kept_ids: Tensor | None = None,
    kept_offsets: Tensor | None = None,
    kept_complete: Tensor | None = None,
) -> Tensor:
    """Gradient of the logits [R, V], the kept set held fixed.

    With p = exp(x − L1) on all tokens, q = exp(z/τ − LC) on the kept set, z the edited logits,
    and 1 the indicator of y: g_p (1 − p) + g_q (1 − q)/τ + g_z (q − p)/τ. Of a given set log_kept
    has one too, g_k (q − s)/τ with s = exp(z/τ − Lτ) on all edited tokens. Greedy rows are the
    case τ = 1, q = indicator of the arg-max, s = p. Where τ follows from the entropy (neither bias
    nor given sets), (g_q (E − x_y) + g_z (L1 − E))/τ² · dτ/dH · dH/dx comes on top, with E the mean
    of x under q and dH/dx = −p (x − L1 + H). Rows that are bad or skipped get 0, and so does −inf;
    where the given set is empty or unknown g_p alone counts.
    """
    read = read_rows(*picked_rows(logits, allowed, rows), valid_vocab)
    edited = edit_rows(read, sparse(bias_ids, bias_offsets, bias_values))
    x, z, exists = read.x.double(), edited.x.double(), read.exists
    low, high, log_1, log_c, tau, mean, entropy = (c[:, None] for c in cut)
    greedy = tau == 0.0
    tau = torch.where(greedy, 1.0, tau)
    inverse = 1.0 / tau
    inside = edited.exists & (low <= z) & (z <= high)
    if kept_ids is not None and kept_offsets is not None:
        inside = edited.exists & dense(kept_ids, kept_offsets, True, x.shape[1])
    p = torch.where(exists, (x - log_1).exp(), 0.0)
    q = torch.where(inside, (z * inverse - log_c).exp(), 0.0)
    index = tokens.clamp(min=0)[:, None]
    here = torch.zeros_like(p).scatter(1, index.clamp(max=p.shape[1] - 1), 1.0)
    best = torch.where(inside, z, -torch.inf).argmax(1)[:, None]
    q = torch.where(greedy, torch.zeros_like(p).scatter(1, best, 1.0), q)
    scored = ((status == 0) | (status == 3))[:, None]
    known = scored | (((status == 2) | (status == 5))[:, None] & log_1.isfinite())
    g_p = torch.where(known & (here * exists).any(1, keepdim=True), grad_log_p[:, None], 0.0)
    g_q = torch.where((status == 0)[:, None], grad_log_q[:, None], 0.0)
    g_z = torch.where(scored, grad_log_z[:, None], 0.0)
    grad = g_p * (here - p)
    grad += torch.where(scored, (g_q * (here - q) + g_z * (q - p)) * inverse, 0.0)
    if grad_log_kept is not None and log_kept is not None:
        s = torch.where(edited.exists, (z * inverse - (log_c - log_kept[:, None])).exp(), 0.0)
        g_k = grad_log_kept[:, None] * inverse
        grad += torch.where(scored, g_k * (q - torch.where(greedy, p, s)), 0.0)
    slope = temperature_slope(params.expand(len(tokens), -1), tau, entropy)
    along = g_q * (mean - (here * x).sum(1, keepdim=True)) + g_z * (log_1 - mean)
    moved = along * inverse**2 * slope * p * (log_1 - entropy - x)
    grad += torch.where(scored & (slope != 0.0), moved, 0.0)
    grad = torch.where(known & exists, grad, 0.0)
    if rows is not None:
        grad = grad.new_zeros(logits.shape).index_add(0, rows, grad)
    return grad.to(logits.dtype)


class _Score(torch.autograd.Function):
    """`adaptor_score` with its gradient, without the dispatcher."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, ...]:
        out = adaptor_score(*inputs)
        save_for_gradient(ctx, inputs, out)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return adaptor_score_backward(*gradient_inputs(ctx, grads)), *(None,) * (ctx.inputs - 1)


def save_for_gradient(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    """Keep what the gradient of `adaptor_score` needs; the same for every backend."""
    logits, params, allowed, valid_vocab, tokens, rows, *given = inputs
    bias, kept = given[:3] or (None,) * 3, given[3:] or (None,) * 3
    # log_kept has a gradient where the set is given; else it is for the books, as entropy and kl.
    log_kept = None if kept[0] is None else output[4]
    ctx.save_for_backward(
        *(logits, params, allowed, tokens, rows, output[9], output[8], log_kept, *bias, *kept)
    )
    ctx.valid_vocab, ctx.inputs = valid_vocab, len(inputs)
    silent = (0, 5, 6, 7, 8, 9, 10) if log_kept is not None else (0, 4, 5, 6, 7, 8, 9, 10)
    ctx.mark_non_differentiable(*(output[i] for i in silent))


def gradient_inputs(ctx: Any, grads: Sequence[Tensor | None]) -> tuple[Any, ...]:
    """Return the arguments of `adaptor_score_backward`."""
    logits, params, allowed, tokens, rows, cut, status, log_kept, *given = ctx.saved_tensors
    zeros = torch.zeros_like(status, dtype=torch.float64)
    heads = [zeros if grads[i] is None else grads[i] for i in (1, 2, 3)]
    batch = logits, params, allowed, ctx.valid_vocab, tokens, rows, cut, status
    grad_log_kept = None if log_kept is None else zeros if grads[4] is None else grads[4]
    return *heads, *batch, grad_log_kept, log_kept, *given


differentiable_score = _Score.apply
