"""What best-of-n costs when only n, or n and one probability, are known."""

from __future__ import annotations

import torch
from torch import Tensor

from aligndec.reference import excess, log1mexp
from aligndec.shared import numbers

__all__ = ["counts", "kl_bound", "kl_estimate", "n_for_kl"]


def counts(function: str, n: float | Tensor, device: torch.device) -> Tensor:
    """Check real numbers n > 0; return float64."""
    out = numbers(function, "n", n, device)
    if not bool(((out > 0) & (out < torch.inf)).all()):
        bad = out[~((out > 0) & (out < torch.inf))][0].item()
        raise ValueError(f"{function}: n must be > 0 and finite, got {bad}")
    return out


def kl_bound(n: float | Tensor) -> Tensor:
    """Return ln n − (n − 1)/n, the KL of best-of-n when no two outcomes tie and none is likely.

    An upper bound of the exact `kl` (Beirami et al. 2024, Theorem 3.1), not its value.

    Parameters
    ----------
    n : float or Tensor
        Real numbers > 0.
    """
    count = counts("best_of_n.kl_bound", n, _device(n))
    y = count.log()
    return excess(-y)  # y − 1 + e^{−y}, which cancels near n = 1


def kl_estimate(n: float | Tensor, log_p_selected: Tensor) -> Tensor:
    """Return the estimate of KL(π_n‖p) from the probability of one selected outcome.

    Parameters
    ----------
    n : float or Tensor
        Real numbers > 0; broadcasts with log_p_selected.
    log_p_selected : Tensor
        Floating-point [...], ln p(y) <= 0 of outcomes that best-of-n returned. With tied rewards:
        ln of the mass of the whole reward level.

    Returns
    -------
    Tensor
        float64 [...], one number per item: average them. For improbable outcomes it is `kl_bound`.

    References
    ----------
    Beirami et al. 2024, Section 4: the outcome is an atom at the top, all others have none.
    """
    name = "best_of_n.kl_estimate"
    if not isinstance(log_p_selected, Tensor) or not log_p_selected.is_floating_point():
        got = getattr(log_p_selected, "dtype", type(log_p_selected).__name__)
        raise TypeError(f"{name}: log_p_selected must be a floating-point Tensor, got {got}")
    log_p = numbers(name, "log_p_selected", log_p_selected.detach(), log_p_selected.device)
    if bool((log_p > 0).any()):
        raise ValueError(f"{name}: log_p_selected must be <= 0, got {log_p.max().item()}")
    count = counts(name, n, log_p.device)
    rare = log_p < -600.0  # n·p is nothing then, for every n that a float64 p could resolve
    atom = torch.where(rare, -1.0, log_p)
    stay = log1mexp(atom)  # ln(1 − p)
    all_below = count * stay  # ln (1 − p)^n
    found = log1mexp(all_below.clamp(max=0.0))
    certain = atom == 0
    inside = count.log() + (count - 1) * torch.where(certain, 0.0, stay) - (count - 1) / count
    out = torch.where(certain, 0.0, all_below.exp() * inside) + found.exp() * (found - atom)
    return torch.where(rare, kl_bound(count), out)


def n_for_kl(kl: float | Tensor) -> Tensor:
    """Return the real n >= 1 at which `kl_bound` is `kl` (nats): −1/W₀(−e^{−1−kl})."""
    name = "best_of_n.n_for_kl"
    wanted = numbers(name, "kl", kl, _device(kl))
    if not bool(((wanted >= 0) & (wanted < torch.inf)).all()):
        raise ValueError(f"{name}: kl must be >= 0 and finite, got {wanted.min().item()}")
    # y + e^{−y} − 1 = kl for y = ln n; convex, and the start is above the root.
    y = (2 * wanted).sqrt() + wanted
    for _ in range(50):
        step = (excess(-y) - wanted) / torch.where(y > 0, -torch.expm1(-y), 1.0)
        y = y - step
        if bool((step.abs() <= 1e-15 * y).all()):
            break
    return y.exp()


def _device(value: float | Tensor) -> torch.device:
    return value.device if isinstance(value, Tensor) else torch.device("cpu")
