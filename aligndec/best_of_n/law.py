"""The exact law of best-of-N on an enumerated set of outcomes, ties included."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from aligndec.best_of_n.bounds import counts
from aligndec.reference import kl_divergence, log1mexp
from aligndec.shared import lead_of, rewards_and_law

__all__ = ["Levels", "kl", "levels_of", "pmf", "tie_groups", "win_rate"]


class Levels(NamedTuple):
    """Reward levels in ascending order, float64 [..., G] (unused ones at the end are −inf).

    `log_mass` = ln P_g, `log_best` = ln B_g with B_g = F_g^n − F_{g−1}^n the probability that the
    best of n draws has level g, `log_above` = ln S_g, the mass above.
    """

    log_mass: Tensor
    log_best: Tensor
    log_above: Tensor


def levels_of(log_mass: Tensor, n: Tensor) -> Levels:
    """Return the law of the best level of n draws.

    Parameters
    ----------
    log_mass : Tensor
        float64 [..., G], normalised masses of ascending levels; −inf where there is none.
    n : Tensor
        float64 [...], any real number > 0.

    Notes
    -----
    ln F_g = ln(1 − S_g) with S_g added up from the top where it is below 1/2 (from the bottom every
    n·10⁻¹⁶ would be lost), and B_g = F_g^n (1 − (F_{g−1}/F_g)^n) with the ratio from P_g/F_g.
    """
    above = log_mass.flip(-1).logcumsumexp(-1).flip(-1)[..., 1:]
    none = torch.full_like(log_mass[..., :1], -torch.inf)
    above = torch.cat([above, none], -1)
    below = log_mass.logcumsumexp(-1).clamp(max=0.0)
    log_f = torch.where(above < -0.6931471805599453, log1mexp(above.clamp(max=0.0)), below)
    share = (log_mass - torch.where(log_f == -torch.inf, 0.0, log_f)).clamp(max=0.0)
    step = log1mexp(share)  # ln(F_{g-1} / F_g)
    # The ratio loses its digits when F_{g-1} is a small part of F_g; there it is known by itself.
    before = torch.cat([none, log_f[..., :-1]], -1)
    step = torch.where(before - log_f < -0.6931471805599453, before - log_f, step)
    empty = log_mass == -torch.inf
    n = n[..., None]
    log_best = n * torch.where(empty, 0.0, log_f) + log1mexp(
        torch.where(empty, -1.0, n * step).clamp(max=0.0)
    )
    return Levels(log_mass, torch.where(empty, -torch.inf, log_best), above)


def tie_groups(ordered: Tensor) -> Tensor:
    """Return the group of equals of each of sorted values [..., V]: int64 [..., V], from 0."""
    new = (ordered[..., 1:] != ordered[..., :-1]).long()
    return torch.nn.functional.pad(new, (1, 0)).cumsum(-1)


def _grouped(log_p: Tensor, r: Tensor, ties: str) -> tuple[Tensor, Tensor]:
    """Return ln P of each level [..., V] and the level of each outcome [..., V]."""
    size = r.shape[-1]
    if ties == "order":
        # The lowest id of a tie is the best: it comes last.
        order = size - 1 - r.flip(-1).argsort(dim=-1, stable=True)
        level = torch.arange(size, device=r.device).expand(order.shape)
    else:
        order = r.argsort(dim=-1)
        level = tie_groups(r.gather(-1, order))
    weight = log_p.gather(-1, order)
    top = torch.full_like(weight, -torch.inf).scatter_reduce(-1, level, weight, "amax")
    top = torch.where(top == -torch.inf, 0.0, top)
    share = (weight - top.gather(-1, level)).exp()
    mass = torch.zeros_like(weight).scatter_add(-1, level, share)
    return top + mass.log(), torch.empty_like(level).scatter(-1, order, level)


def _prepared(
    function: str, log_p: Tensor | None, r: Tensor, n: float | Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Check; return ln p [..., V] (normalised), r [..., V] and n [...]."""
    log_p, r = rewards_and_law(function, log_p, r)
    count = counts(function, n, r.device)
    law = torch.zeros_like(r) if log_p is None else log_p
    lead = lead_of(function, law, r, n=count)
    shape = (*lead, r.shape[-1])
    law = law.detach().double().log_softmax(-1)
    return law.expand(shape), r.detach().double().expand(shape), count.expand(lead)


def pmf(
    log_p: Tensor | None,
    r: Tensor,
    n: float | Tensor,
    *,
    ties: Literal["uniform", "order"] = "uniform",
) -> Tensor:
    """Return the exact law of the best of n draws from p, as logarithms.

    Parameters
    ----------
    log_p : Tensor or None
        Floating-point [..., V], ln p up to a constant, −inf allowed; None: V equally likely ones.
    r : Tensor
        Floating-point [..., V], −inf and +inf allowed.
    n : float or Tensor
        [...], any real number > 0 (F^n is a law for all of them), to 1e12 and beyond.
    ties : {"uniform", "order"}
        Which of several best draws is returned: one at random (or the first drawn, which has the
        same law), or the one with the lowest id.

    Returns
    -------
    Tensor
        float64 [..., V].

    Notes
    -----
    π(y) = p(y)/P_g · (F_g^n − F_{g−1}^n) for y in reward level g. Beirami et al. 2024 (the strict
    order), Sessa et al. 2024, BOND, Theorem 1 (ties).
    """
    name = "best_of_n.pmf"
    if ties not in ("uniform", "order"):
        raise ValueError(f"{name}: ties must be 'uniform' or 'order', got {ties!r}")
    log_p, r, count = _prepared(name, log_p, r, n)
    mass, level = _grouped(log_p, r, ties)
    gain = levels_of(mass, count).log_best - torch.where(mass == -torch.inf, 0.0, mass)
    return torch.where(log_p == -torch.inf, -torch.inf, log_p + gain.gather(-1, level))


def kl(log_p: Tensor | None, r: Tensor, n: float | Tensor) -> Tensor:
    """Return the exact KL(π_n‖p) of best-of-n with uniform ties: float64 [...], nats.

    Parameters
    ----------
    log_p, r, n
        As in `pmf`.

    Notes
    -----
    Σ_g B_g ln(B_g/P_g): at most ln n − (n − 1)/n, and far less when rewards tie.
    """
    log_p, r, count = _prepared("best_of_n.kl", log_p, r, n)
    levels = levels_of(_grouped(log_p, r, "uniform")[0], count)
    return kl_divergence(levels.log_best, levels.log_mass)


def win_rate(log_p: Tensor | None, r: Tensor, n: float | Tensor) -> Tensor:
    """Return the probability that the best of n beats one fresh draw, ties counted half.

    Parameters
    ----------
    log_p, r, n
        As in `pmf`.

    Returns
    -------
    Tensor
        float64 [...], Σ_g B_g (F_{g−1} + P_g/2), at most n/(n + 1) for n >= 1.
    """
    log_p, r, count = _prepared("best_of_n.win_rate", log_p, r, n)
    levels = levels_of(_grouped(log_p, r, "uniform")[0], count)
    lost = levels.log_above.exp() + levels.log_mass.exp() / 2
    return 1 - (levels.log_best.exp() * lost).sum(-1)
