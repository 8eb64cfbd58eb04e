"""The specification of the tilting ops on matrices, in eager PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor

from aligndec.reference.tilt_law import tilted, uniform_like
from aligndec.reference.tilt_problem import Problem, condition
from aligndec.reference.tilt_root import find

__all__ = ["KL_MAX", "KL_MIN", "REWARD", "tilt_solve", "tilt_stats"]

KL_MAX, KL_MIN, REWARD = 0, 1, 2
"""What the target of `tilt_solve` is: a KL on the side beta >= 0 or beta <= 0, or a reward."""


def tilt_stats(log_p: Tensor | None, r: Tensor, beta: Tensor) -> Tensor:
    """Return the numbers of K tilted laws of each row.

    Parameters
    ----------
    log_p : Tensor or None
        float32 or float64 [R, V], −inf allowed, renormalised; None: equally likely outcomes.
    r : Tensor
        [R, V] of the same dtype; infinite only where the weight is 0.
    beta : Tensor
        float64 [R, K], multiplies the reward, ±inf allowed.

    Returns
    -------
    Tensor
        float64 [5, R, K]: log_z, reward, reward_var, kl, reverse_kl (see `Tilt`).
    """
    law = uniform_like(r).expand(r.shape) if log_p is None else log_p.double()
    return torch.stack(tilted(law[:, None], r.double()[:, None], beta)[1:])


def tilt_solve(
    log_p: Tensor | None, r: Tensor, target: Tensor, kind: int, shared: bool
) -> tuple[Tensor, Tensor]:
    """Return the tilts that reach a KL or a reward.

    Parameters
    ----------
    log_p, r : Tensor
        As in `tilt_stats`.
    target : Tensor
        float64 [R, K], >= 0 for a KL; [1, 1] when shared.
    kind : int
        `KL_MAX`, `KL_MIN` or `REWARD`.
    shared : bool
        One beta for all rows, whose mean KL is the target (not for `REWARD`).

    Returns
    -------
    values : Tensor
        float64 [4, R, K]: beta, KL(φ‖p), largest KL of that side, E_φ r.
    flags : Tensor
        int64 [4, R, K]: saturated, constant, impossible, iterations.

    Notes
    -----
    Safeguarded Newton on sqrt(2 KL) for targets below half of the largest KL, on
    ln(KL_max − KL) above; for rewards on E_φ r and ln(r_max − E_φ r).
    """
    law = uniform_like(r).expand(r.shape) if log_p is None else log_p.double()
    r = r.double()
    shape = (r.shape[0], target.shape[1])
    if kind != REWARD:
        sign = r.new_tensor(1.0 if kind == KL_MAX else -1.0)
        problem = condition(law, r * sign, shared)
        return _pack(problem, *find(problem, target, reward=False), sign, shape)
    # Each target has its own side, so each is a row of its own.
    target = target.reshape(-1, 1)
    law, r = (x.repeat_interleave(shape[1], 0) for x in (law, r))
    sign = _side(law, r, target)
    # The side changes the set of live outcomes when a reward is infinite.
    problem = condition(law, r * sign, False)
    values, flags = _pack(problem, *find(problem, target * sign, reward=True), sign, target.shape)
    return values.reshape(4, *shape), flags.reshape(4, *shape)


def _side(law: Tensor, r: Tensor, target: Tensor) -> Tensor:
    """+1 where the target is not below the mean reward of the row, −1 elsewhere."""
    present = law > -torch.inf
    rest = torch.where(present & (r.abs() < torch.inf), r, -torch.inf)
    base = rest.amax(-1, keepdim=True).nan_to_num(neginf=0.0)
    gap = torch.where(present, r - base, 0.0)
    mean = (law.softmax(-1) * gap).nan_to_num(nan=0.0, posinf=torch.inf, neginf=-torch.inf)
    return torch.where(target - base >= mean.sum(-1, keepdim=True), 1.0, -1.0).double()


def _pack(
    problem: Problem,
    beta: Tensor,
    kl: Tensor,
    reward: Tensor,
    flags: Tensor,
    sign: Tensor,
    shape: tuple[int, ...],
) -> tuple[Tensor, Tensor]:
    kl_max = problem.floor + problem.kl_max
    beta, reward = beta * sign + 0.0, reward * sign
    columns = (beta, kl, kl_max, reward)
    return torch.stack([x.expand(shape) for x in columns]), flags.expand(4, *shape).contiguous()
