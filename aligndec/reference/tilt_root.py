"""The root of KL(φ_β‖p) = Δ or E_φ r = t: safeguarded Newton on quantities nearly linear in β."""

from __future__ import annotations

import torch
from torch import Tensor

from aligndec.reference.tilt_problem import Problem, far, near, slacks

__all__ = ["find"]

_MOST = 100
# Newton's last step is this small relative to β; its error is the square of that.
_STEP = 1e-10


def find(
    problem: Problem, target: Tensor, *, reward: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return β, KL, reward [R, K] and the flags [4, R, K] on the side β >= 0.

    `target` [R, K] is a KL, or (`reward`) a mean of r; [1, K] asks for one β for all rows, whose
    mean KL is the target.
    """
    rows, shared = problem.floor.shape[0], target.shape[0] != problem.floor.shape[0]

    def pool(x: Tensor) -> Tensor:
        return x.mean(0, keepdim=True) if shared else x

    floor, kl_max = pool(problem.floor), pool(problem.kl_max)
    dead = floor > 0
    constant = (pool(((problem.kl_max == 0) & (problem.floor == 0)).double()) == 1).expand_as(
        target
    )
    if reward:
        wanted = (target - problem.best) / problem.scale
        low, high = wanted - problem.centre, -wanted
        whole = -problem.centre
        saturated = ~constant & (high <= 0)
        impossible = torch.where(constant, target != problem.best, high < 0)
        impossible = impossible | (dead & ~constant & (low <= 0))
    else:
        low, high = slacks(problem, target)
        whole = kl_max
        saturated = ~constant & ((target >= floor + kl_max) | (high <= 0))
        impossible = ~constant & dead & (low <= 0)
    saturated &= ~(impossible & (low <= 0))
    active = ~constant & ~saturated & (low > 0)

    centred = problem.gap - problem.centre[..., None]
    spread = pool((problem.log_w.exp() * centred.square()).sum(-1))
    reach = pool(-problem.centre)
    # The law with this variance and reach whose tilt is that of a Poisson variable (Bennett).
    # The variance may underflow where the best outcomes are that improbable.
    v = (low * reach * (1.0 if reward else reach) / spread).clamp(max=1e300)
    if reward:
        beta = v.log1p() / reach
    else:
        beta = (((2 * v).sqrt() + v / 3).log1p() / reach).maximum(low / reach)
    beta = torch.where(active, torch.where(beta < torch.inf, beta, 1.0), 0.0)
    upper_half = high < whole / 2

    lower, upper = torch.zeros_like(beta), torch.full_like(beta, torch.inf)
    iterations = torch.zeros_like(beta, dtype=torch.int64)
    last, slow = torch.zeros_like(beta), iterations.clone()
    running = active.clone()
    for _ in range(_MOST):
        if not bool(running.any()):
            break
        at_near, (left, at_far) = near(problem, beta), far(problem, beta)
        if reward:
            slope, here = pool(at_near.variance), pool(at_near.moved)
            step_low, below_low = (low - here) / slope, here < low
            left = pool(-at_far.mean)
            slope = pool(at_far.variance)
        else:
            here, root = pool(at_near.kl), (2 * low).sqrt()
            size = (2 * here).sqrt()
            step_low = (root - size) * size / (beta * pool(at_near.variance))
            below_low = size < root
            left, slope = pool(left), beta * pool(at_far.variance)
        step_high = (left / high).log() * left / slope
        step = torch.where(upper_half, step_high, step_low)
        below = torch.where(upper_half, left > high, below_low)
        lower = torch.where(running & below, beta, lower)
        upper = torch.where(running & ~below, beta, upper)
        # Without any change to go by, the step is no measure of the error.
        small = (step.abs() <= _STEP * beta) & (slope > 0) & (upper_half | (here > 0) | reward)
        # Steps that twice failed to halve are noise, as on a plateau.
        stuck = (lower > 0) & (upper < torch.inf) & (step.abs() > 0.5 * last)
        slow = torch.where(stuck, slow + 1, 0)
        inside = (slow < 2) & (beta + step > lower) & (beta + step < upper)
        # Else the middle of the bracket on the logarithmic scale.
        middle = torch.where(upper.isinf(), beta * 8, (lower * upper).sqrt())
        middle = torch.where(lower == 0, beta / 8, middle)
        moved = torch.where(inside | small, beta + step, middle)
        narrow = (upper - lower <= 4e-16 * upper) & upper.isfinite()
        last = (moved - beta).abs()
        beta = torch.where(running, moved, beta)
        iterations += running
        running = running & ~small & ~narrow

    beta = torch.where(saturated, torch.inf, beta)
    finite = torch.where(saturated, 0.0, beta).expand(rows, -1)
    at_near, (left, at_far) = near(problem, finite), far(problem, finite)
    high_side = upper_half.expand(rows, -1)
    full = saturated.expand(rows, -1)
    kl = problem.floor + torch.where(high_side, at_far.kl, at_near.kl)
    mean = torch.where(high_side, at_far.mean, at_near.mean)
    kl = torch.where(full, problem.floor + problem.kl_max, kl)
    result = problem.best + problem.scale * torch.where(full, 0.0, mean)
    flags = torch.stack([saturated.long(), constant.long(), impossible.long(), iterations])
    return (
        beta / problem.scale.amax(0, keepdim=True) if shared else beta / problem.scale,
        kl,
        result,
        flags,
    )
