"""One row of a tilting problem: the live outcomes, and KL, gap and reward without cancellation."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from aligndec.reference.divergence import kl_terms, softplus

__all__ = ["Point", "Problem", "condition", "far", "near", "slacks"]

# A target this close (relatively) to an end of its range needs more than float64 knows about it.
_CLOSE = 1e-4


class Problem(NamedTuple):
    """Rows [R, 1, V] of p given r > −inf, tilted by β >= 0; the numbers are [R, 1].

    `log_w` ln p given that r is finite, `gap` (r − r_max)/scale in [−1, 0] (0 on dead outcomes),
    `top` where it is 0, `log_top` ln of the mass there, `centre` mean of the gap, `kl_max` the
    divergence of the law at the top, `floor` that of the live law from p, `log_p` p as given.
    """

    log_p: Tensor
    log_w: Tensor
    gap: Tensor
    top: Tensor
    log_top: Tensor
    centre: Tensor
    kl_max: Tensor
    floor: Tensor
    best: Tensor
    scale: Tensor


class Point(NamedTuple):
    """At β, float64 [R, K]: divergence from the live law; mean gap, what it `moved`, variance."""

    kl: Tensor
    mean: Tensor
    moved: Tensor
    variance: Tensor


def condition(log_p: Tensor, r: Tensor, shared: bool) -> Problem:
    """Prepare rows log_p [R, V] and r [R, V]; `shared` gives all rows one scale."""
    log_p, r = log_p[:, None], r[:, None]
    present = log_p > -torch.inf
    live = present & (r > -torch.inf)
    # Nothing but −inf: nothing to choose.
    live = torch.where(live.any(-1, keepdim=True), live, present)
    log_w = torch.where(live, log_p, -torch.inf)
    total = log_w.logsumexp(-1)
    floor = softplus(torch.where(live, -torch.inf, log_p).logsumexp(-1) - total)
    log_w = log_w - total[..., None]
    best = torch.where(live, r, -torch.inf).amax(-1)
    gap = torch.where(live & (best > -torch.inf)[..., None], r - best[..., None], 0.0)
    scale = -gap.amin(-1)
    if shared and scale.numel() > 0:
        scale = scale.amax().expand_as(scale)
    scale = torch.where(scale > 0, scale, 1.0)
    gap = gap / scale[..., None]
    top = live & (gap == 0)
    log_top = torch.where(top, log_w, -torch.inf).logsumexp(-1)
    log_rest = torch.where(top, -torch.inf, log_w).logsumexp(-1)
    centre = (log_w.exp() * gap).sum(-1)
    kl_max = torch.where(log_rest > -torch.inf, softplus(log_rest - log_top), 0.0)
    return Problem(log_p, log_w, gap, top, log_top, centre, kl_max, floor, best, scale)


def near(problem: Problem, beta: Tensor) -> Point:
    """Evaluate around β = 0: KL by terms >= 0 of x = ln(φ/p), the mean from φ − p.

    The error of the normaliser shifts all x alike, which changes the sum of the terms only
    relatively.
    """
    live = problem.log_w > -torch.inf
    t = beta[..., None] * problem.gap
    x = t - (problem.log_w + t).logsumexp(-1, keepdim=True)
    kl = kl_terms(problem.log_w, torch.where(live, x, -torch.inf)).sum(-1)
    q = (problem.log_w + x).exp()
    change = torch.where(
        x.abs() < 0.5, problem.log_w.exp() * torch.expm1(x.clamp(max=0.5)), q - problem.log_w.exp()
    )
    moved = (change * (problem.gap - problem.centre[..., None])).sum(-1)
    mean = moved + problem.centre
    variance = (q * (problem.gap - mean[..., None]).square()).sum(-1)
    return Point(kl, mean, moved, variance)


def far(problem: Problem, beta: Tensor) -> tuple[Tensor, Point]:
    """Evaluate towards the top: with ρ = φ(rest)/φ(top), KL_max − KL = ln(1 + ρ) − β E_φ gap.

    Both terms are >= 0, so the distance from saturation is known to relative precision.
    """
    log_ratio = (
        torch.where(problem.top, -torch.inf, problem.log_w + beta[..., None] * problem.gap)
        - problem.log_top[..., None]
    )
    grown = softplus(log_ratio.logsumexp(-1))
    q = (log_ratio - grown[..., None]).exp()
    mean = (q * problem.gap).sum(-1)
    variance = (q * (problem.gap - mean[..., None]).square()).sum(-1) + (-grown).exp() * mean**2
    left = grown - beta * mean
    return left, Point(problem.kl_max - left, mean, mean - problem.centre, variance)


def slacks(problem: Problem, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return target − floor and KL_max − target, in extended precision near the ends.

    A target 10⁻⁹ below KL_max is a float64 whose own spacing is 10⁻⁷ of that distance, while
    β depends on the distance: KL_max has to be known beyond float64 to say what was asked for.
    A target [1, K] is compared with the means over the rows.
    """
    floor, kl_max = problem.floor, problem.kl_max
    groups = [[row] for row in range(floor.shape[0])]
    if target.shape[0] != floor.shape[0]:
        groups = [list(range(floor.shape[0]))]
        floor, kl_max = floor.mean(0, keepdim=True), kl_max.mean(0, keepdim=True)
    low, high = target - floor, floor + kl_max - target
    close = (high > 0) & (high < _CLOSE * (floor + kl_max)) & (kl_max > 0)
    close |= (low > 0) & (low < _CLOSE * target) & (floor > 0)
    for group in close.any(1).nonzero()[:, 0].tolist():
        ends = [_extended(problem, row) for row in groups[group]]
        least, most = (sum(end) / len(ends) for end in zip(*ends, strict=True))
        for k in close[group].nonzero()[:, 0].tolist():
            at = np.longdouble(float(target[group, k]))
            low[group, k], high[group, k] = float(at - least), float(most - at)
    return low, high


def _extended(problem: Problem, row: int) -> tuple[np.longdouble, np.longdouble]:
    """Return the floor of one row and its largest divergence from p, in long double."""
    log_p = problem.log_p[row, 0].cpu().numpy().astype(np.longdouble)
    live = problem.log_w[row, 0].cpu().numpy() > -np.inf
    top = problem.top[row, 0].cpu().numpy()
    weight = np.exp(log_p - log_p.max())
    dead, rest, best = (weight[keep].sum() for keep in (~live, live & ~top, top))
    floor, most = np.log1p(dead / (rest + best)), np.log1p(rest / best)
    return floor, floor + most
