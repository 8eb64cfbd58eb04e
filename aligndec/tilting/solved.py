"""Budgets to tilts: which β reaches a KL or a reward."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from aligndec.ops import current_ops
from aligndec.reference import KL_MAX, KL_MIN, REWARD
from aligndec.shared import as_rows, lead_of, numbers, on_support, refuse_infinite, rewards_and_law

__all__ = ["Solved", "kl_max", "solve_beta_for_kl", "solve_beta_for_reward", "solve_rows"]


class Solved(NamedTuple):
    """Tilts that reach a budget; fields [...].

    Attributes
    ----------
    beta : float64
        Multiplies the reward. ±inf when saturated, 0 for a constant reward.
    kl_used : float64
        KL(φ_β‖p), nats: the budget, or `kl_max` when saturated.
    kl_max : float64
        −ln p{best reward} of that side: more cannot be used.
    reward : float64
        E_φ r.
    saturated : bool
        The budget is at or above what can be used: φ is p given the best reward.
    constant : bool
        All outcomes have one reward: nothing to choose, φ = p.
    iterations : int64
        Evaluations of a tilted law.
    impossible : bool
        No β reaches it: a KL below −ln p{r > −inf} (every β > 0 already excludes r = −inf), or
        a reward outside of the range. The fields then describe the nearest law; beta = 0 stands for
        the limit β → 0, p given r > −inf.
    """

    beta: Tensor
    kl_used: Tensor
    kl_max: Tensor
    reward: Tensor
    saturated: Tensor
    constant: Tensor
    iterations: Tensor
    impossible: Tensor


def solve_rows(
    log_p: Tensor | None, r: Tensor, lead: torch.Size, target: Tensor, kind: int, shared: bool
) -> Solved:
    """Solve K targets [*lead, K] per row ([1] when shared, for all rows); fields [*lead, K]."""
    rows = as_rows(log_p, r, lead, target)
    values, flags = current_ops().tilt_solve(*rows, kind, shared)
    shape = (*lead, target.shape[-1])
    beta, kl, most, reward = values.reshape(4, *shape).unbind(0)
    saturated, constant, impossible, iterations = flags.reshape(4, *shape).unbind(0)
    return Solved(
        *(beta, kl, most, reward),
        *(saturated.bool(), constant.bool(), iterations, impossible.bool()),
    )


def solve_beta_for_kl(
    log_p: Tensor | None,
    r: Tensor,
    kl: float | Tensor,
    *,
    scope: Literal["row", "mean"] = "row",
    side: Literal["max", "min"] = "max",
) -> Solved:
    """Return the β at which KL(φ_β‖p) is `kl`: the best law within that budget.

    Parameters
    ----------
    log_p : Tensor or None
        Floating-point [..., V], ln p up to a constant, −inf allowed; None: a pool of equally likely
        samples (its KL cannot exceed ln V).
    r : Tensor
        Floating-point [..., V]; −inf (side "max") or +inf (side "min") has weight 0.
    kl : float or Tensor
        [...], >= 0, nats.
    scope : {"row", "mean"}
        "row": every row has its own budget and β. "mean": one β for all rows whose mean KL is the
        number `kl`, what one KL coefficient does over a set of prompts; then beta, kl_max (the mean
        of the rows), the flags and iterations are scalars.
    side : {"max", "min"}
        "max": β >= 0, the largest reward; "min": β <= 0, the smallest.

    Returns
    -------
    Solved
        beta to 1e-10 relative and better, from kl/kl_max = 1e-9 to 1 − 1e-9; never NaN.

    Raises
    ------
    ValueError, TypeError
        kl < 0, NaN, an infinite reward of the wrong sign, shapes that do not fit.

    Notes
    -----
    β multiplies the reward: as a KL coefficient it is 1/β. Newton on sqrt(2 KL), which is nearly
    linear in β, or on ln(kl_max − KL) in the upper half, inside a bracket.
    """
    name = "tilting.solve_beta_for_kl"
    log_p, r = rewards_and_law(name, log_p, r)
    budget = numbers(name, "kl", kl, r.device)
    for argument, value, allowed in (
        ("scope", scope, ("row", "mean")),
        ("side", side, ("max", "min")),
    ):
        if value not in allowed:
            raise ValueError(f"{name}: {argument} must be one of {allowed}, got {value!r}")
    if bool((budget < 0).any()):
        raise ValueError(f"{name}: kl must be >= 0, got {budget.min().item()}")
    refuse_infinite(name, log_p, r, 1.0 if side == "max" else -1.0)
    kind = KL_MAX if side == "max" else KL_MIN
    if scope == "row":
        lead = lead_of(name, log_p, r, kl=budget)
        return _squeezed(solve_rows(log_p, r, lead, budget.expand(lead)[..., None], kind, False))
    if budget.numel() != 1:
        raise ValueError(f"{name}: kl must be one number with scope='mean', got {[*budget.shape]}")
    lead = lead_of(name, log_p, r)
    if lead.numel() == 0:
        raise ValueError(f"{name}: r must be of at least one row with scope='mean', got none")
    out = _squeezed(solve_rows(log_p, r, lead, budget.reshape(1), kind, True))
    first = {n: getattr(out, n).reshape(-1)[0] for n in Solved._fields}
    first |= {"kl_used": out.kl_used, "reward": out.reward, "kl_max": out.kl_max.mean()}
    return Solved(**first)


def solve_beta_for_reward(log_p: Tensor | None, r: Tensor, reward: float | Tensor) -> Solved:
    """Return the β at which E_φ r is `reward`: the cheapest law with that reward.

    Parameters
    ----------
    log_p, r
        As in `solve_beta_for_kl`.
    reward : float or Tensor
        [...], finite. Above the mean of r: β > 0; below it: β < 0.

    Returns
    -------
    Solved
        With `impossible` for a reward outside of the range of r on the support.
    """
    name = "tilting.solve_beta_for_reward"
    log_p, r = rewards_and_law(name, log_p, r)
    wanted = numbers(name, "reward", reward, r.device)
    if not bool(wanted.isfinite().all()):
        raise ValueError(f"{name}: reward must be finite, got {wanted.abs().max().item()}")
    unbounded = [on_support(log_p, r == v).any(-1) for v in (torch.inf, -torch.inf)]
    if bool((unbounded[0] & unbounded[1]).any()):
        raise ValueError(f"{name}: r must be bounded on one side of the support, got -inf and inf")
    lead = lead_of(name, log_p, r, reward=wanted)
    return _squeezed(solve_rows(log_p, r, lead, wanted.expand(lead)[..., None], REWARD, False))


def kl_max(log_p: Tensor | None, r: Tensor, *, side: Literal["max", "min"] = "max") -> Tensor:
    """Return −ln p{best reward} (side "min": worst) [...], nats: the KL at β = inf (−inf)."""
    return solve_beta_for_kl(log_p, r, torch.inf, side=side).kl_max


def _squeezed(out: Solved) -> Solved:
    return Solved(*(field[..., 0] for field in out))
