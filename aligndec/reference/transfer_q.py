"""The specification of candidates, values, rescored choices and combined logits, in eager PyTorch.

Sums over a row are taken in index order, so that the compiled kernels give the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from aligndec import rng
from aligndec.reference import exact
from aligndec.reference.weights import log_mass, read_rows, unsigned, weigh

__all__ = ["MODES", "candidates", "combine_logits", "rescore", "segment_value"]

MODES = ("mean", "snis", "log_mean_exp")
_UNIT = 2.0**43


def candidates(logits: Tensor, k: int, valid_vocab: int) -> tuple[Tensor, Tensor, Tensor]:
    """Find the k most probable tokens of each row and their log-probabilities.

    Parameters
    ----------
    logits : Tensor
        [B, V] of any floating type.
    k : int
        1 <= k <= valid_vocab.
    valid_vocab : int
        Ids from here on do not exist.

    Returns
    -------
    token : Tensor
        int64 [B, k], most probable first, ties by id; tokens of probability 0 last. −1 in bad rows.
    log_p : Tensor
        float64 [B, k] under the whole base law; NaN in bad rows.
    status : Tensor
        int64 [B]: 0, 1 (NaN or +inf) or 2 (no token).
    """
    rows = read_rows(logits, None, valid_vocab)
    total = weigh(rows, rows.top, None).weight.sum(1, keepdim=True)
    x = torch.where(rows.exists, rows.x.double(), -torch.inf)[:, :valid_vocab]
    order = x.sort(dim=1, descending=True, stable=True).indices[:, :k]
    log_p = (x.gather(1, order) - rows.top.double()) - log_mass(total)
    bad = (rows.bad != 0)[:, None]
    log_p = torch.where(bad, torch.nan, log_p + 0.0)
    return torch.where(bad, -1, order), log_p, rows.bad


def segment_value(
    rewards: Tensor, log_ratio: Tensor | None, mode: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Estimate values from N rollouts each.

    Parameters
    ----------
    rewards : Tensor
        float64 [G, N], finite.
    log_ratio : Tensor or None
        float64 [G, N] ln-weights ℓ, finite or −inf, not all −inf. Mode 0 takes None.
    mode : int
        Index into `MODES`.

    Returns
    -------
    value, ess, log_c : Tensor
        float64 [G]: Σ r/N, Σ e^ℓ r / Σ e^ℓ or ln(Σ e^ℓ / N); the effective number of rollouts
        behind it, N or (Σ e^ℓ)² / Σ e^2ℓ; ln(Σ e^ℓ / N).
    """
    n = rewards.shape[1]
    log_n = exact.log(torch.tensor(float(n), dtype=torch.float64, device=rewards.device))
    if log_ratio is None:
        value = _total(rewards) / n
        return value, torch.full_like(value, float(n)), torch.zeros_like(value)
    top = log_ratio.amax(1, keepdim=True)
    weight = exact.exp64(log_ratio - top)
    total = _total(weight)
    log_c = top[:, 0] + (exact.log(total) - log_n)
    ess = total * total / _total(weight * weight)
    if MODES[mode] == "mean":
        return _total(rewards) / n, torch.full_like(ess, float(n)), log_c
    value = _total(weight * rewards) / total if MODES[mode] == "snis" else log_c
    return value, ess, log_c


def rescore(
    log_p: Tensor,
    value: Tensor,
    alpha: Tensor,
    greedy: bool,
    seed: int,
    sequence_ids: Tensor | None,
    position: int,
    positions: Tensor | None,
    uniforms: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Choose among k candidates by the law ∝ p exp(value / α).

    Parameters
    ----------
    log_p, value : Tensor
        float64 [B, k], finite or −inf (a candidate without weight); at least one candidate per row
        has both finite.
    alpha : Tensor
        float64 [1 | B], > 0, may be +inf.
    greedy : bool
        The law is the point mass on its mode, lowest index on a tie.
    seed, sequence_ids, position, positions, uniforms
        The bits of the draw: `uniforms` float64 [B], else Philox, stream 3. Tensors are [B].

    Returns
    -------
    index, log_ref, log_alg, kl : Tensor
        [B]: the choice; its log-probability under p renormalised on the candidates and under the
        chosen law; KL of the latter from the former.
    """
    live = (log_p > -torch.inf) & (value > -torch.inf)
    best = torch.where(live, value, -torch.inf).amax(1, keepdim=True)
    # From the best value down: no overflow, however small α is.
    gain = torch.where(live, value - best, 0.0) / alpha[:, None]
    score = torch.where(live, log_p + gain, -torch.inf)
    log_alg, weight = _log_law(score)
    log_ref, _ = _log_law(log_p)
    if greedy:
        index = score.argmax(1)  # the first one on a tie
        at_ref = log_ref.gather(1, index[:, None])[:, 0]
        return index, at_ref, torch.zeros_like(at_ref), 0.0 - at_ref
    total = _total(weight)[:, None]
    share = torch.where(weight > 0.0, weight / total * (log_alg - log_ref), 0.0)
    kl = _total(share).clamp(min=0.0)
    if uniforms is not None:
        bits = rng.bits_from_uniform(uniforms)
    else:
        if sequence_ids is None:
            sequence_ids = torch.arange(log_p.shape[0], device=log_p.device)
        at = position if positions is None else positions
        bits = rng.philox(seed, sequence_ids, at, rng.RESCORE)[0]
    mass = (weight * _UNIT).round().long().cumsum(1)
    pairs = zip(unsigned(bits), unsigned(mass[:, -1]), strict=True)
    target = torch.tensor([(r * w) >> 64 for r, w in pairs], device=mass.device)
    index = (mass - 1 >= target[:, None]).int().argmax(1)
    picked = (law.gather(1, index[:, None])[:, 0] for law in (log_ref, log_alg))
    at_ref, at_alg = picked
    return index, at_ref, at_alg, kl


def combine_logits(logits: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Return ln softmax(Σ_m w_m ln softmax(l_m)), float64 [B, V].

    The normalisers of the terms shift whole rows and cancel. A token that a model of positive
    weight gives no probability has none in the end; models of weight 0 are not read.
    """
    out = torch.zeros(logits[0].shape, dtype=torch.float64, device=logits[0].device)
    gone = torch.zeros_like(out, dtype=torch.bool)
    for x, weight in zip(logits, weights, strict=True):
        if weight == 0.0:
            continue
        out = out + x.double() * weight
        if weight > 0.0:
            gone |= x == -torch.inf
    out = out.masked_fill(gone, -torch.inf)
    top = out.amax(1, keepdim=True)
    bad = out.isnan().any(1, keepdim=True) | ~top.isfinite()
    gap = torch.where(bad, torch.nan, out - torch.where(bad, 0.0, top))
    return gap - exact.log(_total(exact.exp64(gap)))[:, None]


def _log_law(score: Tensor) -> tuple[Tensor, Tensor]:
    """Log-softmax over the last dimension, and the weights relative to the largest."""
    gap = score - score.amax(1, keepdim=True)
    weight = exact.exp64(gap)
    return gap - exact.log(_total(weight))[:, None], weight


def _total(x: Tensor) -> Tensor:
    """Sum over the last dimension in index order."""
    return x.cumsum(1)[:, -1]
