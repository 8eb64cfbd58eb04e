"""Cumulant generating function, rate function and Rényi quantities of a finite law."""

from __future__ import annotations

import torch
from torch import Tensor

from aligndec.reference import REWARD, log_div, tilted, uniform_like
from aligndec.shared import broadcast, lead_of, numbers, on_support, rewards_and_law
from aligndec.tilting import solve_rows

__all__ = ["cgf", "laws", "rate_function", "renyi_cross_entropy", "renyi_divergence"]


def laws(
    function: str, log_p: Tensor | None, r: Tensor, **parameters: float | Tensor
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Check; return float64 log_p and r [..., V] and the parameters [...], all broadcast."""
    log_p, r = rewards_and_law(function, log_p, r)
    values = {name: numbers(function, name, v, r.device) for name, v in parameters.items()}
    lead = lead_of(function, log_p, r, **values)
    if bool(on_support(log_p, r.isinf()).any()):
        raise ValueError(f"{function}: r must be finite on the support, got inf or -inf")
    shape = (*lead, r.shape[-1])
    law = uniform_like(r) if log_p is None else log_p.detach().double()
    law = law.log_softmax(-1).expand(shape)
    rewards = torch.where(law > -torch.inf, r.detach().double().expand(shape), 0.0)
    return law, rewards, [value.expand(lead) for value in values.values()]


def cgf(log_p: Tensor | None, r: Tensor, rho: float | Tensor, beta: float | Tensor = 0.0) -> Tensor:
    """Return ln E exp(ρ r) under the tilted law φ_β: Λ(β + ρ) − Λ(β).

    Parameters
    ----------
    log_p : Tensor or None
        Floating-point [..., V], ln p up to a constant; None: equally likely outcomes.
    r : Tensor
        Floating-point [..., V], finite on the support.
    rho, beta : float or Tensor
        [...], finite; beta multiplies the reward in φ_β ∝ p exp(β r).

    Returns
    -------
    Tensor
        float64 [...]. For m independent tokens and the sum of their rewards: m times that.
    """
    law, rewards, (rho, beta) = laws("asymptotics.cgf", log_p, r, rho=rho, beta=beta)
    if not bool((rho.isfinite() & beta.isfinite()).all()):
        raise ValueError("asymptotics.cgf: rho and beta must be finite, got inf")
    return tilted(tilted(law, rewards, beta).log_q, rewards, rho).log_z


def rate_function(
    log_p: Tensor | None, r: Tensor, t: float | Tensor, beta: float | Tensor = 0.0
) -> Tensor:
    """Return J_β(t) = sup_ρ {ρ t − cgf(ρ, β)}, the rate of the mean reward of φ_β tokens.

    Parameters
    ----------
    log_p, r, beta
        As in `cgf`; beta multiplies the reward and may be ±inf.
    t : float or Tensor
        [...], mean reward per token.

    Returns
    -------
    Tensor
        float64 [...] >= 0: KL(φ_s‖φ_β) for the tilt s with mean t; 0 at t = E_φ r; −ln φ_β{r = t}
        at the ends of the range; +inf outside.

    Notes
    -----
    On t >= E_p r it is the inverse of the frontier: J_0(R(Δ)) = Δ.
    """
    name = "asymptotics.rate_function"
    law, rewards, (t, beta) = laws(name, log_p, r, t=t, beta=beta)
    inside = t.clamp(-1e300, 1e300)
    aligned = tilted(law, rewards, beta).log_q
    solved = solve_rows(aligned, rewards, t.shape, inside[..., None], REWARD, False)
    return torch.where(solved.impossible, torch.inf, solved.kl_used)[..., 0]


def _pair(
    function: str, log_p: Tensor, log_q: Tensor, alpha: float | Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    law, other = rewards_and_law(function, log_p, log_q)
    order = numbers(function, "alpha", alpha, other.device)
    if not bool((order >= 0).all()):
        raise ValueError(f"{function}: alpha must be >= 0, got {order.min().item()}")
    if law is None:
        raise TypeError(f"{function}: log_p must be a floating-point Tensor, got None")
    lead = broadcast(function, log_p=law.shape[:-1], log_q=other.shape[:-1], alpha=order.shape)
    if bool((other == torch.inf).any()):
        raise ValueError(f"{function}: log_q must be < inf, got inf")
    shape = (*lead, other.shape[-1])
    law = law.detach().double().log_softmax(-1).expand(shape)
    return law, other.detach().double().expand(shape), order.expand(lead)


def _power_mean(law: Tensor, x: Tensor, order: Tensor) -> Tensor:
    """Return ln (E_p e^{s x})^{1/s} for s = order − 1, its limits at s = 0 and inf included.

    x may hold −inf on the support (nothing for s > 0, −inf for s <= 0), or +inf (nothing for
    s < 0, +inf for s >= 0).
    """
    present = law > -torch.inf
    x = torch.where(present, x, 0.0)
    s = order - 1
    blocked = (present & x.isinf()).any(-1)
    end = torch.where(present & x.isinf(), x, 0.0).sum(-1)
    counts = ~blocked | (s * end < 0)  # else the infinite values decide
    slope = torch.where((s == 0) | s.isinf() | ~counts, 1.0, s)
    safe = torch.where(counts[..., None], x, 0.0)
    tilt = tilted(law, safe, slope)
    # Λ(s)/s = mean + KL(p‖φ_s)/s, which does not cancel for small s.
    mean = (law.exp() * torch.where(x.isinf(), 0.0, x)).sum(-1)
    value = torch.where(blocked, tilt.log_z / slope, mean + tilt.reverse_kl / slope)
    value = torch.where(s == 0, mean, value)
    largest = torch.where(present, x, -torch.inf).amax(-1)
    value = torch.where(s.isinf(), largest, value)
    infinite = (~counts & ~(s.isinf() & (end < 0))) | ~(present & x.isfinite()).any(-1)
    return torch.where(infinite, end, value)


def renyi_cross_entropy(log_p: Tensor, log_q: Tensor, alpha: float | Tensor) -> Tensor:
    """Return H_α(p‖q) = ln(Σ p q^{α−1})/(1 − α), nats.

    Parameters
    ----------
    log_p, log_q : Tensor
        Floating-point [..., V], normalised by the function; −inf allowed.
    alpha : float or Tensor
        [...], >= 0; 1 is −Σ p ln q, inf is −ln max_{p>0} q, 0 is ln Σ p/q.

    Returns
    -------
    Tensor
        float64 [...], non-increasing in alpha; +inf where q misses outcomes of p and alpha <= 1.

    Notes
    -----
    Two other quantities carry nearly the same name; this one (Thierrin, Alajaji and Linder 2022)
    has H_α(p‖p) = Rényi entropy, and −ρ H_{1+ρ}(φ‖q) is the cumulant generating function of ln q.
    """
    name = "asymptotics.renyi_cross_entropy"
    law, other, order = _pair(name, log_p, log_q, alpha)
    return -_power_mean(law, other.log_softmax(-1), order) + 0.0


def renyi_divergence(log_p: Tensor, log_q: Tensor, alpha: float | Tensor) -> Tensor:
    """Return D_α(p‖q) = ln(Σ p^α q^{1−α})/(α − 1) >= 0, nats.

    Parameters
    ----------
    log_p, log_q : Tensor
        Floating-point [..., V], normalised by the function; −inf allowed.
    alpha : float or Tensor
        [...], >= 0; 1 is KL(p‖q), inf is ln max p/q, 0 is −ln q{p > 0}.

    Returns
    -------
    Tensor
        float64 [...], non-decreasing in alpha; +inf where q misses outcomes of p and alpha >= 1.
    """
    name = "asymptotics.renyi_divergence"
    law, other, order = _pair(name, log_p, log_q, alpha)
    other = other.log_softmax(-1)
    return _power_mean(law, -log_div(other, law), order).clamp(min=0.0)
