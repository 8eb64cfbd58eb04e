"""Exact theory of the independence sampler on a finite pool: q_i = 1/N, π_i = w_i / Σ w.

With the weights in descending order (Liu 1996) the chain has the eigenvalue 1 and

    λ_k = Σ_{i >= k} (q_i − π_i q_k / π_k) = Σ_{i >= k} (1 − w_i / w_k) / N,     k = 1 … K − 1,

for the K states with π > 0, and the k-th eigenvector is zero before k, T_{k+1} at k and −π_k after
k, where T_k = Σ_{i >= k} π_i. Nothing larger than the pool is formed.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Importance", "Mixing", "importance", "mixing"]


class Importance(NamedTuple):
    """`log_z` = ln mean w, `ess`, `max_share`, stationary `acceptance`; float64 [...]."""

    log_z: Tensor
    ess: Tensor
    max_share: Tensor
    acceptance: Tensor


class Mixing(NamedTuple):
    """`tau_int` float64 [...] or [..., S], `cramers_v` float64 [...]."""

    tau_int: Tensor
    cramers_v: Tensor


def importance(log_weight: Tensor) -> Importance:
    """Return what the weights [..., N] alone say; all weights 0: ess 0, the shares NaN."""
    n = log_weight.shape[-1]
    total = log_weight.logsumexp(-1)
    share = (log_weight - total[..., None]).exp()
    ess = 1 / (share * share).sum(-1)
    # Σ_ij min(w_i, w_j): the k-th largest weight is the smaller one of 2 k − 1 pairs.
    pairs = 2 * torch.arange(1, n + 1, device=share.device) - 1
    acceptance = (share.sort(-1, descending=True).values * pairs).sum(-1) / n
    return Importance(total - math.log(n), ess.nan_to_num(0.0), share.amax(-1), acceptance)


def mixing(log_weight: Tensor, values: Tensor | None) -> Mixing:
    """Return the dependence of successive states of the stationary chain.

    Parameters
    ----------
    log_weight : Tensor
        float64 [..., N].
    values : Tensor or None
        [..., N, S]: tau_int = Σ c_k² (1 + λ_k)/(1 − λ_k) / Σ c_k², with c_k the coefficients on the
        normalised eigenvectors. None: the bound (1 + λ_1)/(1 − λ_1) = 2 w* − 1.
    """
    n = log_weight.shape[-1]
    ordered, order = log_weight.sort(-1, descending=True)
    tail = ordered.flip(-1).logcumsumexp(-1).flip(-1)
    rest = torch.arange(n, 0, -1, device=ordered.device).double() / n
    live = ordered > -torch.inf
    moving = live[..., 1:]  # state k has a successor with weight
    ratio = (tail - torch.where(live, ordered, 0.0)).exp()
    spectrum = torch.where(moving, (rest - ratio / n)[..., :-1].clamp(min=0.0), 0.0)
    states = moving.sum(-1)
    v = ((spectrum * spectrum).sum(-1) / states).sqrt()
    v = torch.where(live[..., 0], torch.where(states == 0, 1.0, v), torch.nan)
    if values is None:
        return Mixing(2 * ratio[..., 0].pow(-1) * n - 1, v)
    pi = (ordered - tail[..., :1]).exp()
    mass = (tail - tail[..., :1]).exp()
    f = values.detach().double().gather(-2, order[..., None].expand(values.shape))
    f = torch.where(live[..., None], f, 0.0)
    sums = (pi[..., None] * f).flip(-2).cumsum(-2).flip(-2)
    after = torch.where(moving, mass[..., 1:], 1.0)
    power = (pi[..., :-1] * after / mass[..., :-1])[..., None]
    squared = power * (f[..., :-1, :] - sums[..., 1:, :] / after[..., None]).square()
    squared = torch.where(moving[..., None], squared, 0.0)
    slow = ((1 + spectrum) / (1 - spectrum))[..., None]
    return Mixing((squared * slow).sum(-2) / squared.sum(-2), v)
