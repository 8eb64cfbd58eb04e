"""The tilted law φ_β ∝ p exp(β r) and its numbers, differentiable, in eager PyTorch."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from aligndec.reference.divergence import excess, kl_terms

__all__ = ["Tilt", "tilted", "uniform_like"]

# exp(t) − 1 − t is taken of centred exponents up to this; beyond, ln Z itself is large.
_MOST = 30.0


class Tilt(NamedTuple):
    """φ_β ∝ p exp(β r): `log_q` float64 [..., V], the rest float64 [...].

    `log_z` = Λ(β) = ln Σ p exp(β r), `reward` = E_φ r = Λ'(β), `reward_var` = Var_φ r = Λ''(β),
    `kl` = KL(φ‖p) = βΛ' − Λ and `reverse_kl` = KL(p‖φ) = Λ − β E_p r, in nats.
    """

    log_q: Tensor
    log_z: Tensor
    reward: Tensor
    reward_var: Tensor
    kl: Tensor
    reverse_kl: Tensor


def uniform_like(r: Tensor) -> Tensor:
    """Return the log-law of a pool: every outcome 1/V."""
    return torch.zeros(r.shape[-1:], dtype=torch.float64, device=r.device)


def _select(keep: Tensor, x: Tensor, other: float) -> Tensor:
    return torch.where(keep, x, other)


def tilted(log_p: Tensor, r: Tensor, beta: Tensor) -> Tilt:
    """Return the tilted law and its numbers.

    Parameters
    ----------
    log_p, r : Tensor
        float64 [..., V]; log_p is renormalised. Infinite rewards on the support must have weight 0
        (r = −inf for beta > 0, r = +inf for beta < 0).
    beta : Tensor
        float64 [...], multiplies the reward; ±inf is the limit, p conditioned on the best (worst)
        reward.

    Returns
    -------
    Tilt

    Notes
    -----
    Everything is formed from t = β (r − best r) <= 0: x = ln(φ/p) = t − ln Σ p eᵗ and
    KL = Σ p h(x) by terms that are all >= 0, so nothing cancels for small beta or large offsets of
    the reward. For the reverse divergence t is centred: ln Σ p eᵗ = ln(1 + Σ p (eᵗ − 1 − t)).
    """
    log_p, r = torch.broadcast_tensors(log_p.log_softmax(-1), r)  # type: ignore[no-untyped-call]
    present = log_p > -torch.inf
    finite = r.abs() < torch.inf
    infinite = beta.abs() == torch.inf
    slope = torch.where(infinite, 0.0, beta)[..., None]
    live = present & (finite | (beta == 0)[..., None])
    log_w = _select(live, log_p, -torch.inf)
    usable = live & finite
    # Rewards relative to their edge: what carries the law at large beta is then exact.
    down = (beta < 0)[..., None]
    edge_of = torch.where(down, -r, r)
    edge_of = _select(usable, edge_of, -torch.inf).detach().amax(-1, keepdim=True)
    origin = torch.where(edge_of == -torch.inf, 0.0, torch.where(down, -edge_of, edge_of))
    gap = torch.where(usable, torch.where(usable, r, 0.0) - origin, 0.0)
    t = slope * gap
    chosen = torch.where(infinite[..., None], usable & (gap == 0), live)
    log_norm = _logsumexp(_select(chosen, log_w + t, -torch.inf))
    log_q = _select(chosen, log_w + t - log_norm, -torch.inf)
    q = log_q.exp()
    shift = (q * gap).sum(-1)
    variance = (q * (gap - shift[..., None]).square()).sum(-1)
    reward = origin[..., 0] + shift
    kl = kl_terms(log_p, _select(chosen, t - log_norm, -torch.inf)).sum(-1)

    edge_z = torch.where(reward == 0, log_norm[..., 0], beta * reward.sign())
    log_z = slope[..., 0] * origin[..., 0] + log_norm[..., 0]
    unbounded = (present & ~finite & (beta == 0)[..., None]).any(-1)
    infinite_mean = _select(present & ~finite, r, 0.0).sum(-1)
    return Tilt(
        log_q=log_q,
        log_z=torch.where(infinite, edge_z, log_z),
        reward=torch.where(unbounded, infinite_mean, reward),
        reward_var=torch.where(unbounded, torch.inf, variance),
        kl=torch.where(beta == 0, 0.0, kl),
        reverse_kl=_reverse(log_p, gap, slope, log_norm[..., 0], (present & ~chosen).any(-1)),
    )


def _reverse(log_p: Tensor, gap: Tensor, slope: Tensor, log_norm: Tensor, lost: Tensor) -> Tensor:
    """KL(p‖φ) = ln Σ p eᵗ of centred t, by terms >= 0 unless it is large anyway."""
    p = log_p.exp()
    mean = (p * gap).sum(-1, keepdim=True)
    t = slope * (gap - mean)
    drift = (p * t).sum(-1)
    plain = log_norm - (slope * mean)[..., 0]
    bounded = (t.detach().amax(-1) <= _MOST) & ~lost
    terms = p * excess(torch.where(bounded[..., None], t, 0.0))
    small = torch.log1p(terms.sum(-1)) - drift
    return torch.where(lost, torch.inf, torch.where(bounded, small, plain).clamp(min=0.0))


def _logsumexp(x: Tensor) -> Tensor:
    """Keep the dimension; −inf rows have gradient 0, not NaN."""
    some = (x > -torch.inf).any(-1, keepdim=True)
    safe = torch.where(some, x, 0.0)
    return torch.where(some, safe.logsumexp(-1, keepdim=True), 0.0)
