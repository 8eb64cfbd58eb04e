"""Strings of m independent tokens with additive rewards: best-of-n and tails, exactly."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from aligndec.asymptotics.lattice import Lattice, convolve, lattice_of
from aligndec.asymptotics.rates import laws
from aligndec.best_of_n import levels_of
from aligndec.reference import KL_MAX, REWARD, kl_divergence, tilted
from aligndec.shared import at_least, plain_arguments
from aligndec.tilting import solve_rows

__all__ = ["MemorylessBestOfN", "Tail", "memoryless_best_of_n", "memoryless_tail"]


class MemorylessBestOfN(NamedTuple):
    """Totals over the whole string of best-of-n, float64 [...].

    `reward` E r(Y), `kl` KL(π_n‖p^m) in nats, `kl_to_tilt` KL(π_n‖φ^m) to the optimum φ of the
    budget δ = ln(n)/m per token: it grows like ½ ln m while kl_to_tilt/m vanishes.
    """

    reward: Tensor
    kl: Tensor
    kl_to_tilt: Tensor


class Tail(NamedTuple):
    """ln P(r(Y)/m >= t), float64 [...]: exact, large deviations (−m J), with the prefactor."""

    exact: Tensor
    ldp: Tensor
    bahadur_rao: Tensor


class _Sum(NamedTuple):
    """Law of the level of the sum: under the tilt and under the law itself, as logarithms."""

    lattice: Lattice
    log_tilted: Tensor
    log_mass: Tensor


def _sum_law(function: str, log_p: Tensor, r: Tensor, m: int, beta: float) -> _Sum:
    """Convolve the law tilted by a finite beta, where the levels of interest are likely."""
    present = (log_p > -torch.inf).cpu().numpy()
    lattice = lattice_of(function, r.cpu().numpy(), present, m)
    tilt = tilted(log_p, r, torch.tensor(beta, dtype=torch.float64, device=log_p.device))
    weights = np.zeros(int(lattice.level.max()) + 1)
    np.add.at(weights, lattice.level[present], tilt.log_q.exp().cpu().numpy()[present])
    total = torch.from_numpy(convolve(weights, m)).clamp(max=1.0).log()
    level = torch.arange(len(total), dtype=torch.float64)
    # ln(tilted/law) of a sum at level k: β (origin m + step k) − m Λ(β), relative to the mean.
    mean = (tilt.reward.item() - lattice.origin) * m / lattice.step
    ratio = beta * lattice.step * (level - mean) + m * tilt.kl.item()
    return _Sum(lattice, total, total - ratio)


@plain_arguments
def memoryless_best_of_n(
    log_p: Tensor | None,
    r: Tensor,
    m: int,
    *,
    n: float | None = None,
    delta: float | None = None,
) -> MemorylessBestOfN:
    """Return what best-of-n over strings of m independent tokens gives, exactly.

    Parameters
    ----------
    log_p : Tensor or None
        Floating-point [..., V], the law of a token; None: uniform.
    r : Tensor
        Floating-point [..., V], finite; the reward of a string is the sum. On a lattice
        (origin + step·k), as integers and decimals are.
    m : int
        Tokens per string, >= 1.
    n : float
        Draws, any real number >= 1; or
    delta : float
        ln(n)/m >= 0, nats per token.

    Returns
    -------
    MemorylessBestOfN

    Raises
    ------
    ValueError
        Both or none of n and delta; rewards without a common step.

    Notes
    -----
    Yang et al. 2024: with n = e^{mδ} best-of-n approaches the KL-constrained optimum, kl/m → δ,
    reward/m → R(δ), kl_to_tilt/m → 0. Ties of the sum are broken uniformly, so the divergence of
    the sums is that of the strings.
    """
    name = "asymptotics.memoryless_best_of_n"
    if (n is None) == (delta is None):
        raise ValueError(
            f"{name}: exactly one of n and delta must be given, got n = {n!r}, delta = {delta!r}"
        )
    at_least(name, 1, m=m)
    if n is not None and not 1 <= n < math.inf:
        raise ValueError(f"{name}: n must be >= 1 and finite, got {n}")
    budget = math.log(n) / m if n is not None else delta
    if not 0 <= budget < math.inf:  # type: ignore[operator]
        raise ValueError(f"{name}: delta must be >= 0 and finite, got {delta}")
    law, rewards, _ = laws(name, log_p, r)
    lead = law.shape[:-1]
    rows = [
        _best_row(name, a, b, m, float(budget))  # type: ignore[arg-type]
        for a, b in zip(
            law.reshape(-1, law.shape[-1]), rewards.reshape(-1, r.shape[-1]), strict=True
        )
    ]
    fields = torch.tensor(rows, dtype=torch.float64, device=law.device).reshape(-1, 3)
    return MemorylessBestOfN(*(x.reshape(lead) for x in fields.unbind(-1)))


def _best_row(name: str, log_p: Tensor, r: Tensor, m: int, budget: float) -> list[float]:
    none = torch.Size()
    top = solve_rows(log_p, r, none, torch.tensor([torch.inf], dtype=torch.float64), KL_MAX, False)
    # A tilt at which the levels that matter are likely: within a nat of the top at most.
    most = top.kl_max.item()
    wanted = min(budget, most - min(1 / m, most / 2))
    target = torch.tensor([wanted], dtype=torch.float64, device=log_p.device)
    beta = solve_rows(log_p, r, none, target, KL_MAX, False).beta.item()
    total = _sum_law(name, log_p, r, m, beta)
    best = levels_of(total.log_mass, torch.tensor(m * budget, dtype=torch.float64).exp())
    level = torch.arange(len(total.log_mass), dtype=torch.float64)
    probability = best.log_best.exp()
    reward = m * total.lattice.origin + total.lattice.step * float((probability * level).sum())
    kl = float(kl_divergence(best.log_best, total.log_mass))
    if budget >= most and most > 0:
        # The optimum is the top level alone; best-of-n misses it with positive probability.
        return [reward, kl, math.inf]
    return [reward, kl, float(kl_divergence(best.log_best, total.log_tilted))]


@plain_arguments
def memoryless_tail(
    log_p: Tensor | None,
    r: Tensor,
    m: int,
    t: float | Tensor,
    *,
    beta: float | Tensor = 0.0,
) -> Tail:
    """Return ln P(r(Y)/m >= t) for m independent tokens of the tilted law φ_β.

    Parameters
    ----------
    log_p, r, m
        As in `memoryless_best_of_n`.
    t : float or Tensor
        [...], finite, reward per token.
    beta : float or Tensor
        [...], finite, multiplies the reward.

    Returns
    -------
    Tail
        `exact` by convolution; `ldp` = −m J(t) (0 below the mean); `bahadur_rao` with the prefactor
        of lattice rewards, taken at the next level of the sum (below the mean: of the complement).
        −inf above the range, 0 at its lower end and below.
    """
    name = "asymptotics.memoryless_tail"
    at_least(name, 1, m=m)
    law, rewards, (t, beta) = laws(name, log_p, r, t=t, beta=beta)
    if not bool((t.isfinite() & beta.isfinite()).all()):
        raise ValueError(f"{name}: t and beta must be finite, got inf")
    aligned = tilted(law, rewards, beta)
    flat = (x.reshape(-1, law.shape[-1]) for x in (aligned.log_q, rewards))
    rows = [
        _tail_row(name, a, b, m, at) for a, b, at in zip(*flat, t.reshape(-1).tolist(), strict=True)
    ]
    fields = torch.tensor(rows, dtype=torch.float64, device=law.device).reshape(-1, 3)
    return Tail(*(x.reshape(t.shape) for x in fields.unbind(-1)))


def _tail_row(name: str, log_p: Tensor, r: Tensor, m: int, t: float) -> list[float]:
    present = log_p > -torch.inf
    lattice = lattice_of(name, r.cpu().numpy(), present.cpu().numpy(), m)
    levels = int(lattice.level.max()) * m
    # The first level of the sum that is not below m t, which rounding must not move.
    first = math.ceil(m * (t - lattice.origin) / lattice.step - 1e-6)
    if first <= 0:
        return [0.0, 0.0, 0.0]
    if first > levels:
        return [-math.inf] * 3
    mean = tilted(log_p, r, torch.zeros((), dtype=torch.float64)).reward.item()
    upper = lattice.origin + lattice.step * first / m >= mean
    at = first if upper else first - 1
    point = _solve_reward(log_p, r, lattice.origin + lattice.step * at / m)
    s, rate = point.beta.item(), m * point.kl_used.item()
    total = _sum_law(name, log_p, r, m, max(min(s, 1e3), -1e3) if math.isfinite(s) else 0.0)
    exact = float((total.log_mass[first:] if upper else total.log_mass[:first]).logsumexp(0))
    if math.isinf(s):
        sharp = -rate  # the end of the range: one level, no prefactor
    else:
        spread = tilted(log_p, r, torch.tensor(s, dtype=torch.float64)).reward_var.item()
        decay = -math.expm1(-abs(s) * lattice.step)
        width = math.sqrt(2 * math.pi * m * spread)
        sharp = -rate + math.log(lattice.step / (decay * width)) if decay > 0 else math.log(0.5)
        sharp = min(sharp, 0.0)
    if upper:
        whole_rate = _solve_reward(log_p, r, t)
        ldp = -m * whole_rate.kl_used.item() if t > mean else 0.0
        return [min(exact, 0.0), -math.inf if bool(whole_rate.impossible) else ldp, sharp]
    return [_complement(exact), 0.0, _complement(sharp)]


def _solve_reward(log_p: Tensor, r: Tensor, t: float):  # type: ignore[no-untyped-def]
    target = torch.tensor([t], dtype=torch.float64, device=log_p.device)
    return solve_rows(log_p, r, torch.Size(), target, REWARD, False)


def _complement(log_probability: float) -> float:
    """ln(1 − e^x), which is not below ln(1/2) where the lower tail is the smaller one."""
    return math.log1p(-math.exp(min(log_probability, math.log(0.5))))
