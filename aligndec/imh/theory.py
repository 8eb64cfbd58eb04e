"""Exact theory of the independence sampler on N entries: proposals q_i, target π_i = q_i w_i / Z.

A pool has q_i = 1/N. With the weights in descending order (Liu 1996) the chain has the eigenvalue 1
and

    λ_k = Σ_{i >= k} (q_i − π_i q_k / π_k) = Σ_{i >= k} q_i (1 − w_i / w_k),     k = 1 … K − 1,

for the K states with π > 0, and the k-th eigenvector is zero before k, T_{k+1} at k and −π_k after
k, where T_k = Σ_{i >= k} π_i. Nothing larger than the pool is formed.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Importance", "Mixing", "importance", "mixing"]


class Importance(NamedTuple):
    """`log_z` = ln Σ q w, `ess`, `max_share`, `w_star`, stationary `acceptance`; float64 [...]."""

    log_z: Tensor
    ess: Tensor
    max_share: Tensor
    w_star: Tensor
    acceptance: Tensor


class Mixing(NamedTuple):
    """`spectrum` float64 [..., N − 1], `tau_int` [...] or [..., S], `cramers_v` [...]."""

    spectrum: Tensor
    tau_int: Tensor
    cramers_v: Tensor


def importance(log_weight: Tensor, log_q: Tensor) -> Importance:
    """Return what weights and proposals [..., N] say; all weights 0: ess 0, the shares NaN."""
    n = log_weight.shape[-1]
    joint = log_q + log_weight
    log_z = joint.logsumexp(-1)
    pi = (joint - log_z[..., None]).exp()
    relative = (log_weight - log_z[..., None]).exp()
    ess = n / (pi * relative).sum(-1)
    # Σ_ij q_i q_j min(w_i, w_j): the k-th largest weight is the smaller one of its pairs with the
    # entries before it, in both orders, and with itself.
    order = log_weight.argsort(-1, descending=True)
    q = log_q.exp().gather(-1, order)
    pairs = 2 * q.cumsum(-1) - q
    acceptance = (pi.gather(-1, order) * pairs).sum(-1)
    return Importance(log_z, ess.nan_to_num(0.0), pi.amax(-1), relative.amax(-1), acceptance)


def mixing(log_weight: Tensor, log_q: Tensor, values: Tensor | None) -> Mixing:
    """Return the dependence of successive states of the stationary chain.

    Parameters
    ----------
    log_weight, log_q : Tensor
        float64 [..., N].
    values : Tensor or None
        [..., N, S]: tau_int = Σ c_k² (1 + λ_k)/(1 − λ_k) / Σ c_k², with c_k the coefficients on the
        normalised eigenvectors. None: the bound (1 + λ_1)/(1 − λ_1) = 2 w* − 1.
    """
    ordered, order = log_weight.sort(-1, descending=True)
    log_q = log_q.gather(-1, order)
    joint = log_q + ordered
    tail = joint.flip(-1).logcumsumexp(-1).flip(-1)
    rest = log_q.exp().flip(-1).cumsum(-1).flip(-1)
    live = ordered > -torch.inf
    moving = live[..., 1:]  # state k has a successor with weight
    ratio = (tail - torch.where(live, ordered, 0.0)).exp()
    spectrum = torch.where(moving, (rest - ratio)[..., :-1].clamp(min=0.0), 0.0)
    states = moving.sum(-1)
    v = ((spectrum * spectrum).sum(-1) / states).sqrt()
    v = torch.where(live[..., 0], torch.where(states == 0, 1.0, v), torch.nan)
    if values is None:
        return Mixing(spectrum, 2 / ratio[..., 0] - 1, v)
    pi = (joint - tail[..., :1]).exp()
    mass = (tail - tail[..., :1]).exp()
    f = values.detach().double().gather(-2, order[..., None].expand(values.shape))
    f = torch.where(live[..., None], f, 0.0)
    sums = (pi[..., None] * f).flip(-2).cumsum(-2).flip(-2)
    after = torch.where(moving, mass[..., 1:], 1.0)
    power = (pi[..., :-1] * after / mass[..., :-1])[..., None]
    squared = power * (f[..., :-1, :] - sums[..., 1:, :] / after[..., None]).square()
    squared = torch.where(moving[..., None], squared, 0.0)
    slow = ((1 + spectrum) / (1 - spectrum))[..., None]
    return Mixing(spectrum, (squared * slow).sum(-2) / squared.sum(-2), v)
