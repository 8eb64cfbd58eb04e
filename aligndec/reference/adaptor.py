"""The ops on [B, V] in eager PyTorch: the specification that the kernels are compared with.

Read on in `weights` (what a token weighs), `stages` (what is kept) and `books` (what is
reported).
"""

from __future__ import annotations

import torch
from torch import Tensor

from aligndec import rng
from aligndec.reference.books import Books, books
from aligndec.reference.mirostat import mirostat_next, mirostat_params
from aligndec.reference.weights import sparse
from aligndec.reference.xtc import COIN, coin_bits, with_coin
from aligndec.shared import dense

__all__ = [
    "adaptor_grid",
    "adaptor_mask",
    "adaptor_score",
    "adaptor_step",
    "draw_counters",
    "picked_rows",
    "thrown",
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
    bias_ids: Tensor | None = None,
    bias_offsets: Tensor | None = None,
    bias_values: Tensor | None = None,
    kept_ids: Tensor | None = None,
    kept_offsets: Tensor | None = None,
    kept_complete: Tensor | None = None,
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
    bias_ids, bias_offsets, bias_values, kept_ids, kept_offsets, kept_complete
        A sparse bias and given kept sets, of B rows each; see `books`.

    Returns
    -------
    nine tensors [B]
        token, log_p, log_q, log_z, log_kept, entropy, kl, n_kept, status.
    """
    if sums is not None:
        params = mirostat_params(params, sums[5])
    bias = sparse(bias_ids, bias_offsets, bias_values)
    given = sparse(kept_ids, kept_offsets, kept_complete)
    where = draw_counters(logits, sequence_ids, position, positions, length)
    if tokens is None:
        params = thrown(params, seed if seeds is None else seeds, *where)
    law = books(logits, params, allowed, valid_vocab, bias, given)
    y = tokens
    if y is None:
        if uniforms is not None:
            bits = rng.bits_from_uniform(uniforms)
        else:
            bits = rng.philox(seed if seeds is None else seeds, *where, rng.TOKEN)[0]
        y = law.draw(bits)
    nine = _report(law, y, finished, pad, drawn=tokens is None)
    if sums is not None and length is not None and finished is not None:
        token, log_p, log_q, log_z, log_kept, _, kl, _, status = nine
        failed = (status == 1) | (status == 2) | (status == 5)
        if not (strict and bool(failed.any())):
            drawn = (status == 0) | (status == 3)
            step = torch.stack([log_p, log_q, log_z, log_kept, kl])
            moved = None if bias is None else dense(*bias, logits.shape[1]).gather(1, y[:, None])
            after = mirostat_next(params, sums[5], step, None if moved is None else moved[:, 0])
            sums[5] = torch.where(drawn, after, sums[5])
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
    bias_ids: Tensor | None = None,
    bias_offsets: Tensor | None = None,
    bias_values: Tensor | None = None,
    kept_ids: Tensor | None = None,
    kept_offsets: Tensor | None = None,
    kept_complete: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Report given tokens int64 [N]; `rows` int64 [N] says which row of logits each is scored on.

    A bias and given kept sets have N rows, one for each token.

    Returns
    -------
    eleven tensors
        The nine of `adaptor_step`, each [N]; cut float64 [7, N] (`Books.cut`: the kept set is
        {lo <= x <= hi}); mass int64 [2, N] (scaled masses of all tokens and of the kept set).
    """
    bias = sparse(bias_ids, bias_offsets, bias_values)
    given = sparse(kept_ids, kept_offsets, kept_complete)
    logits, allowed = picked_rows(logits, allowed, rows)
    law = books(logits, params, allowed, valid_vocab, bias, given)
    nine = _report(law, tokens, None, 0, drawn=False)
    return (*nine, law.cut(), torch.where(nine[8] == 4, 0, law.masses))


def adaptor_grid(
    logits: Tensor,
    params: Tensor,
    allowed: Tensor | None,
    valid_vocab: int,
    tokens: Tensor,
    bias_ids: Tensor | None = None,
    bias_offsets: Tensor | None = None,
    bias_values: Tensor | None = None,
) -> tuple[Tensor, ...]:
    """Report the tokens int64 [R] under each of A adaptors, params [A, COLUMNS].

    Returns
    -------
    ten tensors
        The nine of `adaptor_step`, each [A, R]; mass int64 [2, A, R].
    """
    params = with_coin(params, None)
    bias = bias_ids, bias_offsets, bias_values
    laws = [
        adaptor_score(logits, p[None], allowed, valid_vocab, tokens, None, *bias)
        for p in params.unbind()
    ]
    if not laws:
        one = adaptor_score(logits[:0], params, None, valid_vocab, tokens[:0], None)
        shape = (0, tokens.shape[0])
        return (*(f.new_empty(shape) for f in one[:9]), one[10].new_empty((2, *shape)))
    fields = list(zip(*laws, strict=True))
    return (*(torch.stack(f) for f in fields[:9]), torch.stack(fields[10], 1))


def adaptor_mask(
    logits: Tensor,
    params: Tensor,
    allowed: Tensor | None,
    valid_vocab: int,
    bias_ids: Tensor | None = None,
    bias_offsets: Tensor | None = None,
    bias_values: Tensor | None = None,
) -> Tensor:
    """Return the kept set without the coin of xtc, bool [R, V]; all False in bad rows."""
    bias = sparse(bias_ids, bias_offsets, bias_values)
    return books(logits, with_coin(params, None), allowed, valid_vocab, bias).keep.clone()


def draw_counters(
    logits: Tensor,
    sequence_ids: Tensor | None,
    position: int,
    positions: Tensor | None,
    length: Tensor | None,
) -> tuple[Tensor, Tensor | int]:
    """Return sequence ids and positions, the counters of a draw's random numbers."""
    if sequence_ids is None:
        sequence_ids = torch.arange(logits.shape[0], device=logits.device)
    at = positions if positions is not None else length if length is not None else position
    return sequence_ids, at


def thrown(params: Tensor, seed: int | Tensor, sequence_ids: Tensor, at: Tensor | int) -> Tensor:
    """Return parameters with the coins of xtc as the draw throws them."""
    if not bool((params[:, COIN] > 0.0).any()):
        return params
    bits = rng.philox(seed, sequence_ids, at, rng.XTC)[0]
    return with_coin(params, coin_bits(params[:, COIN], bits.expand(len(sequence_ids))))


def picked_rows(
    logits: Tensor, allowed: Tensor | None, rows: Tensor | None
) -> tuple[Tensor, Tensor | None]:
    """Return the row of logits, and of its mask, that each result is on."""
    if rows is None:
        return logits, allowed
    if allowed is not None and allowed.shape[0] != 1:
        allowed = allowed.index_select(0, rows)
    return logits.index_select(0, rows), allowed


def _report(law: Books, y: Tensor, finished: Tensor | None, pad: int, *, drawn: bool) -> Nine:
    """Return the nine outputs; precedence of status 4 (finished, y < 0), 1, 2, 5, 3 (y outside)."""
    size = law.rows.x.shape[1]
    at = y.clamp(min=0, max=size - 1)
    log_p, log_q = (torch.where(y >= size, -torch.inf, v) for v in (law.log_p(at), law.log_q(at)))
    bad, void = law.rows.bad != 0, law.void != 0
    status = torch.where(void, law.void, torch.where(log_q == -torch.inf, 3, 0))
    status = torch.where(bad, law.rows.bad, status)
    skip = y < 0 if finished is None else finished | (y < 0)
    status = torch.where(skip, 4, status)
    # Without a kept set the base law is still known.
    nothing, no_token = bad | void, (bad | void) if drawn else bad
    floats = (
        (log_p, no_token),
        *((v, nothing) for v in (log_q, law.log_z, law.log_kept)),
        (law.entropy, bad),
        (law.kl, nothing),
    )
    log_p, log_q, log_z, log_kept, entropy, kl = (
        torch.where(skip, 0.0, torch.where(unknown, torch.nan, v)) for v, unknown in floats
    )
    token = torch.where(skip, pad, torch.where(no_token, -1, y))
    n_kept = torch.where(skip | nothing, 0, law.n_kept)
    return token, log_p, log_q, log_z, log_kept, entropy, kl, n_kept, status
