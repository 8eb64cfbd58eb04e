"""The ops on [B, V] in eager PyTorch: the specification that the kernels are compared with.

Read on in `_weights` (what a token weighs), `_stages` (what is kept) and `_books` (what is
reported).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aligndec import rng
from aligndec.reference.books import Books, books
from aligndec.reference.dynamic import temperature_slope
from aligndec.reference.mirostat import mirostat_next, mirostat_params
from aligndec.reference.weights import read_rows
from aligndec.reference.xtc import COIN, coin_bits, with_coin

__all__ = [
    "adaptor_grid",
    "adaptor_mask",
    "adaptor_score",
    "adaptor_score_backward",
    "adaptor_step",
    "differentiable_score",
]

Nine = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]


def adaptor_step(
    logits: Tensor,
    params: Tensor,
    allowed: Tensor | None,
    valid_vocab: int,
    tokens: Tensor | None,
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
) -> Nine:
    """Draw a token per row (or take the given ones), report it, and commit it to a state.

    Parameters
    ----------
    logits, params, allowed, valid_vocab
        See `books`.
    tokens : Tensor or None
        int64 [B]: score these instead of drawing; negative ones are skipped.
    seed, seeds, sequence_ids, position, positions, uniforms
        Where the 64 random bits come from: `uniforms` float64 [B], else Philox at (seed, sequence
        id, position). Tensors [B] win over numbers, `length` over `position`.
    sums, length, finished, eos, pad
        The state, changed in place: all of the first three, or none.
    strict : bool
        Commit nothing when any row is bad.

    Returns
    -------
    nine tensors [B]
        token, log_p, log_q, log_z, log_kept, entropy, kl, n_kept, status.
    """
    if sums is not None:
        params = mirostat_params(params, sums[5])
    if sequence_ids is None:
        sequence_ids = torch.arange(logits.shape[0], device=logits.device)
    at = positions if positions is not None else length if length is not None else position
    if tokens is None and bool((params[:, COIN] > 0.0).any()):
        bits = rng.philox(seed if seeds is None else seeds, sequence_ids, at, rng.XTC)[0]
        params = with_coin(params, coin_bits(params[:, COIN], bits.expand(len(logits))))
    law = books(logits, params, allowed, valid_vocab)
    y = tokens
    if y is None:
        if uniforms is not None:
            bits = rng.bits_from_uniform(uniforms)
        else:
            bits = rng.philox(seed if seeds is None else seeds, sequence_ids, at, rng.TOKEN)[0]
        y = law.draw(bits)
    nine = _report(law, y, finished, pad)
    if sums is not None and length is not None and finished is not None:
        token, log_p, log_q, log_z, log_kept, _, kl, _, status = nine
        failed = (status == 1) | (status == 2)
        if not (strict and bool(failed.any())):
            drawn = (status == 0) | (status == 3)
            step = torch.stack([log_p, log_q, log_z, log_kept, kl])
            sums[5] = torch.where(drawn, mirostat_next(params, sums[5], step), sums[5])
            sums[:5] = torch.where(drawn, sums[:5] + step, sums[:5])
            length.add_(drawn.to(length.dtype))
            ended = drawn & torch.isin(token, eos) if eos is not None else torch.zeros_like(drawn)
            finished.logical_or_(ended | failed)
    return nine


def adaptor_score(
    logits: Tensor,
    params: Tensor,
    allowed: Tensor | None,
    valid_vocab: int,
    tokens: Tensor,
    rows: Tensor | None,
) -> tuple[Tensor, ...]:
    """Report given tokens int64 [N]; `rows` int64 [N] says which row of logits each is scored on.

    Returns
    -------
    eleven tensors
        The nine of `adaptor_step`, each [N]; cut float64 [7, N] (`Books.cut`: the kept set is
        {lo <= x <= hi}); mass int64 [2, N] (scaled masses of all tokens and of the kept set).
    """
    law = books(_pick(logits, rows), params, _pick_allowed(allowed, rows), valid_vocab)
    nine = _report(law, tokens, None, 0)
    return (*nine, law.cut(), torch.where(nine[8] == 4, 0, law.masses))


def adaptor_grid(
    logits: Tensor, params: Tensor, allowed: Tensor | None, valid_vocab: int, tokens: Tensor
) -> tuple[Tensor, ...]:
    """Report the tokens int64 [R] under each of A adaptors, params [A, COLUMNS].

    Returns
    -------
    ten tensors
        The nine of `adaptor_step`, each [A, R]; mass int64 [2, A, R].
    """
    params = with_coin(params, None)
    laws = [
        adaptor_score(logits, p[None], allowed, valid_vocab, tokens, None) for p in params.unbind()
    ]
    if not laws:
        one = adaptor_score(logits[:0], params, None, valid_vocab, tokens[:0], None)
        shape = (0, tokens.shape[0])
        return (*(f.new_empty(shape) for f in one[:9]), one[10].new_empty((2, *shape)))
    fields = list(zip(*laws, strict=True))
    return (*(torch.stack(f) for f in fields[:9]), torch.stack(fields[10], 1))


def adaptor_mask(
    logits: Tensor, params: Tensor, allowed: Tensor | None, valid_vocab: int
) -> Tensor:
    """Return the kept set without the coin of xtc, bool [R, V]; all False in bad rows."""
    return books(logits, with_coin(params, None), allowed, valid_vocab).keep.clone()


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
) -> Tensor:
    """Gradient of the logits [R, V], the kept set held fixed.

    With p = exp(x − L1) on all tokens, q = exp(x/τ − LC) on the kept set and 1 the indicator of y:
    g_p (1 − p) + g_q (1 − q)/τ + g_z (q − p)/τ. Greedy rows are the case τ = 1, q = indicator of
    the arg-max. Where τ follows from the entropy, (g_q (E − x_y) + g_z (L1 − E))/τ² · dτ/dH · dH/dx
    comes on top, with E the mean of x under q and dH/dx = −p (x − L1 + H). Rows that are bad or
    skipped get 0, and so does −inf.
    """
    read = read_rows(_pick(logits, rows), _pick_allowed(allowed, rows), valid_vocab)
    x, exists = read.x.double(), read.exists
    low, high, log_1, log_c, tau, mean, entropy = (c[:, None] for c in cut)
    p = torch.where(exists, (x - log_1).exp(), 0.0)
    q = torch.where(exists & (low <= x) & (x <= high), (x / tau - log_c).exp(), 0.0)
    index = tokens.clamp(min=0)[:, None]
    here = torch.zeros_like(p).scatter(1, index.clamp(max=p.shape[1] - 1), 1.0)
    best = torch.zeros_like(p).scatter(1, torch.where(exists, x, -torch.inf).argmax(1)[:, None], 1)
    q = torch.where(tau == 0.0, best, q)
    scored = ((status == 0) | (status == 3))[:, None]
    g_p = torch.where(scored & (here * exists).any(1, keepdim=True), grad_log_p[:, None], 0.0)
    g_q = torch.where((status == 0)[:, None], grad_log_q[:, None], 0.0)
    g_z = torch.where(scored, grad_log_z[:, None], 0.0)
    tau = torch.where(tau == 0.0, 1.0, tau)
    grad = g_p * (here - p) + (g_q * (here - q) + g_z * (q - p)) / tau
    along = (g_q * (mean - (here * x).sum(1, keepdim=True)) + g_z * (log_1 - mean)) / tau**2
    slope = temperature_slope(params.expand(len(tokens), -1), tau, entropy)
    moved = along * slope * p * (log_1 - entropy - x)
    grad = grad + torch.where(slope != 0.0, moved, 0.0)
    grad = torch.where(scored & exists, grad, 0.0)
    if rows is not None:
        grad = grad.new_zeros(logits.shape).index_add(0, rows, grad)
    return grad.to(logits.dtype)


def _pick(logits: Tensor, rows: Tensor | None) -> Tensor:
    return logits if rows is None else logits.index_select(0, rows)


def _pick_allowed(allowed: Tensor | None, rows: Tensor | None) -> Tensor | None:
    if allowed is None or rows is None or allowed.shape[0] == 1:
        return allowed
    return allowed.index_select(0, rows)


def _report(law: Books, y: Tensor, finished: Tensor | None, pad: int) -> Nine:
    """Return the nine outputs; precedence of status 4 (finished, y < 0), 1, 2, 3 (y outside)."""
    size = law.x.shape[1]
    at = y.clamp(min=0, max=size - 1)
    log_p, log_q = (torch.where(y >= size, -torch.inf, v) for v in (law.log_p(at), law.log_q(at)))
    bad = law.rows.bad != 0
    status = torch.where(bad, law.rows.bad, torch.where(log_q == -torch.inf, 3, 0))
    skip = y < 0 if finished is None else finished | (y < 0)
    status = torch.where(skip, 4, status)
    floats = (log_p, log_q, law.log_z, law.log_kept, law.entropy, law.kl)
    log_p, log_q, log_z, log_kept, entropy, kl = (
        torch.where(skip, 0.0, torch.where(bad, torch.nan, v)) for v in floats
    )
    token = torch.where(skip, pad, torch.where(bad, -1, y))
    n_kept = torch.where(skip | bad, 0, law.n_kept)
    return token, log_p, log_q, log_z, log_kept, entropy, kl, n_kept, status


class _Score(torch.autograd.Function):
    """`adaptor_score` with its gradient, without the dispatcher."""

    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> tuple[Tensor, ...]:
        logits, params, allowed, valid_vocab, tokens, rows = inputs
        out = adaptor_score(*inputs)
        ctx.save_for_backward(logits, params, allowed, tokens, rows, out[9], out[8])
        ctx.valid_vocab = valid_vocab
        ctx.mark_non_differentiable(*(out[i] for i in (0, 4, 5, 6, 7, 8, 9, 10)))
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        logits, params, allowed, tokens, rows, cut, status = ctx.saved_tensors
        saved = (logits, params, allowed, ctx.valid_vocab, tokens, rows, cut, status)
        return adaptor_score_backward(grads[1], grads[2], grads[3], *saved), *(None,) * 5


differentiable_score = _Score.apply
