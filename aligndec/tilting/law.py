"""The tilted law and its numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from aligndec.ops import current_ops
from aligndec.reference import Tilt, tilted, uniform_like
from aligndec.shared import as_rows, lead_of, numbers, on_support, rewards_and_law

__all__ = ["TiltStats", "tilt", "tilt_stats"]


class TiltStats(NamedTuple):
    """The numbers of `Tilt` without the law: float64 [...], in nats and units of the reward."""

    log_z: Tensor
    reward: Tensor
    reward_var: Tensor
    kl: Tensor
    reverse_kl: Tensor


def tilt(
    log_p: Tensor | None,
    r: Tensor,
    beta: float | Tensor | None = None,
    *,
    kl_coef: float | Tensor | None = None,
) -> Tilt:
    """Return the law φ_β ∝ p exp(β r) and its numbers.

    Parameters
    ----------
    log_p : Tensor or None
        Floating-point [..., V], ln p up to a constant (renormalised in float64); −inf: the outcome
        does not exist. None: V equally likely outcomes, a pool of samples.
    r : Tensor
        Floating-point [..., V], rewards. −inf is a hard constraint (weight 0) for beta > 0, +inf
        for beta < 0.
    beta : float or Tensor
        [...], of either sign: multiplies the reward. ±inf: p given the best (worst) reward.
    kl_coef : float or Tensor
        [...], nonzero: 1/beta, what divides the reward; instead of beta.

    Returns
    -------
    Tilt
        Differentiable with respect to log_p, r and beta (kl_coef).

    Raises
    ------
    ValueError, TypeError
        Both or none of beta and kl_coef, NaN, a row without an outcome, shapes that do not fit.
    """
    log_p, r, slope, lead = _arguments("tilting.tilt", log_p, r, beta, kl_coef)
    law = uniform_like(r) if log_p is None else log_p.double()
    return tilted(law, r.double(), slope.expand(lead))


def tilt_stats(
    log_p: Tensor | None,
    r: Tensor,
    beta: float | Tensor | None = None,
    *,
    kl_coef: float | Tensor | None = None,
) -> TiltStats:
    """Return the numbers of `tilt` without writing anything of size V; no gradients.

    Parameters
    ----------
    log_p, r, beta, kl_coef
        As in `tilt`: beta multiplies the reward, kl_coef divides it.

    Returns
    -------
    TiltStats
    """
    log_p, r, slope, lead = _arguments("tilting.tilt_stats", log_p, r, beta, kl_coef)
    rows = as_rows(log_p, r, lead, slope.expand(lead)[..., None])
    return TiltStats(*current_ops().tilt_stats(*rows).reshape(5, *lead))


def _arguments(
    function: str, log_p: Any, r: Any, beta: Any, kl_coef: Any
) -> tuple[Tensor | None, Tensor, Tensor, torch.Size]:
    """Check the arguments of a tilt; return log_p, r, beta and the leading shape."""
    if (beta is None) == (kl_coef is None):
        raise ValueError(
            f"{function}: exactly one of beta (multiplies the reward) and kl_coef = 1/beta must be "
            f"given, got beta = {beta!r}, kl_coef = {kl_coef!r}"
        )
    log_p, r = rewards_and_law(function, log_p, r)
    if kl_coef is not None:
        divisor = numbers(function, "kl_coef", kl_coef, r.device)
        if bool((divisor == 0).any()):
            raise ValueError(
                f"{function}: kl_coef must be nonzero, got 0 (beta=inf is the best reward alone)"
            )
        slope = 1 / divisor
    else:
        slope = numbers(function, "beta", beta, r.device)
    lead = lead_of(function, log_p, r, beta=slope)
    signs = slope.detach().sign().expand(lead)[..., None]
    for infinity in (torch.inf, -torch.inf):
        bad = on_support(log_p, (r == infinity) & (signs * infinity == torch.inf))
        if bool(bad.any()):
            raise ValueError(
                f"{function}: r must be finite or of weight 0 on the support, got {infinity} at "
                f"{bad.nonzero()[0].tolist()} with a beta of the same sign"
            )
    if bool(r.isinf().any()):
        live = on_support(log_p, r.isfinite())
        if bool(((signs[..., 0] != 0) & ~live.any(-1)).any()):
            raise ValueError(
                f"{function}: r must be finite for some outcome of every row, got none"
            )
    return log_p, r, slope, lead
