"""The reward–KL frontier and how far a measured point is from it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from aligndec.ops import current_ops
from aligndec.reference import KL_MAX, REWARD
from aligndec.shared import as_rows, broadcast, lead_of, numbers, refuse_infinite, rewards_and_law
from aligndec.tilting.solved import kl_max, solve_rows

__all__ = ["Frontier", "Gap", "optimality_gap", "reward_kl_frontier"]

# Points of a frontier that nobody gave a grid for.
_POINTS = 65


class Frontier(NamedTuple):
    """Points of the optimal trade-off; float64 [..., G].

    `beta` multiplies the reward, `kl` = KL(φ_β‖p) in nats, `reward` = E_φ r, `ess` = 1/Σ φ²/p in
    (0, 1]: the share of a pool of samples of p that still counts at that β.
    """

    beta: Tensor
    kl: Tensor
    reward: Tensor
    ess: Tensor


class Gap(NamedTuple):
    """Distance of a point (KL, reward) from the optimum; float64 [...].

    Attributes
    ----------
    kl_gap : Tensor
        KL spent beyond the cheapest law of the same reward, which is also KL(ω‖that law), nats.
    reward_gap : Tensor
        Reward missed at the same KL.
    kl_to_optimal : Tensor
        KL(ω‖φ) to the best law φ of the same KL, = beta · reward_gap, nats.
    beta : Tensor
        Of that law.
    """

    kl_gap: Tensor
    reward_gap: Tensor
    kl_to_optimal: Tensor
    beta: Tensor


def reward_kl_frontier(
    log_p: Tensor | None,
    r: Tensor,
    *,
    kl: float | Tensor | None = None,
    beta: float | Tensor | None = None,
) -> Frontier:
    """Return the largest reward for each KL: the curve no method can be above.

    Parameters
    ----------
    log_p : Tensor or None
        Floating-point [..., V], ln p up to a constant. None: r is a pool of V samples of p; then
        no point has a KL above ln V, and beyond ess·V of about 20 the curve says more about the
        pool than about p.
    r : Tensor
        Floating-point [..., V].
    kl : float or Tensor
        Grid [G] or [..., G] of budgets, nats; above kl_max the point is the end of the curve.
    beta : float or Tensor
        Grid of tilts instead (beta multiplies the reward). Neither: 65 equal steps of kl from 0 to
        kl_max.

    Returns
    -------
    Frontier
        Fields [..., G]; G = 1 for a number.
    """
    name = "tilting.reward_kl_frontier"
    log_p, r = rewards_and_law(name, log_p, r)
    if kl is not None and beta is not None:
        raise ValueError(
            f"{name}: at most one of kl and beta must be given, got kl = {kl!r}, beta = {beta!r}"
        )
    lead = lead_of(name, log_p, r)
    if beta is None:
        refuse_infinite(name, log_p, r, 1.0)
        if kl is None:
            steps = torch.linspace(0, 1, _POINTS, dtype=torch.float64, device=r.device)
            grid = kl_max(log_p, r)[..., None] * steps
        else:
            grid = numbers(name, "kl", kl, r.device)
        if bool((grid < 0).any()):
            raise ValueError(f"{name}: kl must be >= 0, got {grid.min().item()}")
    else:
        grid = numbers(name, "beta", beta, r.device)
    grid = grid.reshape(1) if grid.dim() == 0 else grid
    lead = broadcast(name, outcomes=lead, grid=grid.shape[:-1])
    grid = grid.expand(*lead, grid.shape[-1])
    if beta is None:
        solved = solve_rows(log_p, r, lead, grid, KL_MAX, False)
        slope, points = solved.beta, (solved.kl_used, solved.reward)
    else:
        refuse_infinite(name, log_p, r, 1.0 if bool((grid > 0).any()) else -1.0)
        slope = grid
        stats = current_ops().tilt_stats(*as_rows(log_p, r, lead, grid))
        points = stats[3].reshape(slope.shape), stats[1].reshape(slope.shape)
    return Frontier(slope, *points, _ess(log_p, r, lead, slope, points[0]))


def _ess(log_p: Tensor | None, r: Tensor, lead: torch.Size, beta: Tensor, kl: Tensor) -> Tensor:
    """1/Σ φ²/p = exp(2 Λ(β) − Λ(2 β)), with the best reward as origin."""
    live = r if log_p is None else torch.where(log_p > -torch.inf, r, -torch.inf)
    best = live.amax(-1, keepdim=True).nan_to_num(neginf=0.0)
    both = torch.cat([beta, 2 * beta], -1).nan_to_num(posinf=0.0, neginf=0.0)
    log_z = current_ops().tilt_stats(*as_rows(log_p, r - best, lead, both))[0]
    one, two = log_z.reshape(both.shape).chunk(2, -1)
    # p given the best reward: φ²/p = φ exp(kl).
    return torch.where(beta.isinf(), -kl, (2 * one - two).clamp(max=0.0)).exp()


def optimality_gap(
    log_p: Tensor | None, r: Tensor, kl: float | Tensor, reward: float | Tensor
) -> Gap:
    """Return how far a law ω is from the optimum, from its two numbers alone.

    Parameters
    ----------
    log_p : Tensor or None
        As in `reward_kl_frontier`; None: r is a pool of samples, and so is the optimum.
    r : Tensor
        Floating-point [..., V].
    kl : float or Tensor
        KL(ω‖p) [...], >= 0, nats: of any method (the mean of `Generation.kl` for an adaptor).
    reward : float or Tensor
        E_ω r [...].

    Returns
    -------
    Gap
        Negative gaps mean that the numbers are not those of one law (estimation error).

    Notes
    -----
    KL(ω‖p) = KL(ω‖φ_β) + KL(φ_β‖p) + β (E_ω r − E_φ r) for every β, so equal KL gives
    KL(ω‖φ) = β · reward_gap and equal reward gives KL(ω‖φ) = kl_gap. Above kl_max the best law
    is p given the best reward; `kl_to_optimal` is +inf when ω misses it.
    """
    name = "tilting.optimality_gap"
    log_p, r = rewards_and_law(name, log_p, r)
    spent, got = (numbers(name, n, v, r.device) for n, v in (("kl", kl), ("reward", reward)))
    if bool((spent < 0).any()):
        raise ValueError(f"{name}: kl must be >= 0, got {spent.min().item()}")
    if not bool(got.isfinite().all()):
        raise ValueError(f"{name}: reward must be finite, got {got.abs().max().item()}")
    refuse_infinite(name, log_p, r, 1.0)
    lead = lead_of(name, log_p, r, kl=spent, reward=got)
    spent, got = spent.expand(lead), got.expand(lead)
    at_kl = solve_rows(log_p, r, lead, spent[..., None], KL_MAX, False)
    at_reward = solve_rows(log_p, r, lead, got[..., None], REWARD, False)
    beta, missed = at_kl.beta[..., 0], at_kl.reward[..., 0] - got
    beyond = (spent - at_kl.kl_used[..., 0]).clamp(min=0.0)
    away = torch.where(beta.isinf() & (missed == 0), beyond, beta * missed)
    return Gap(spent - at_reward.kl_used[..., 0], missed, away, beta)
