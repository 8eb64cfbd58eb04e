"""The kept set, stage by stage: what each field of an adaptor keeps (semantics, 1.2 and 2.2).

Each stage sees the survivors S of the earlier ones under the deciding law, p̂_i = W_i/W with
W = Σ_S W_i, and returns a mask. Float64, in the order written.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from aligndec.reference.fields import FIELDS
from aligndec.reference.weights import Law, Rows, log_mass, real, unsigned
from aligndec.reference.wide_stages import kept_by_entropy, log_powers

__all__ = ["kept"]


@dataclass(frozen=True)
class _Stage:
    """Survivors `keep` [R, V] of the rows, the deciding law, its temperature `tau` [R, 1]."""

    rows: Rows
    x: Tensor  # float64 [R, V]
    top: Tensor  # float64 [R, 1], the maximum of the row
    law: Law
    tau: Tensor
    keep: Tensor

    def largest(self) -> Tensor:
        """m_S: the largest surviving logit, [R, 1]."""
        return torch.where(self.keep, self.x, -torch.inf).amax(1, keepdim=True)

    def before(self, key: Tensor) -> tuple[Tensor, Tensor]:
        """Return number and mass of the survivors with a strictly smaller key, [R, V]."""
        key = torch.where(self.keep, key, torch.inf)
        ascending, order = key.sort(1)
        first = torch.searchsorted(ascending, key.contiguous())
        weight = torch.where(self.keep, self.law.weight, 0).gather(1, order)
        return first, (weight.cumsum(1) - weight).gather(1, first.clamp(max=key.shape[1] - 1))

    def limit(self, share: Tensor) -> Tensor:
        """Return the least mass that is share · W: ceil(P·W) exactly for integers, [R, 1]."""
        mass = self.law.sums(self.keep)[0]
        if not self.rows.exact:
            return share * mass
        ratios = [p.as_integer_ratio() for p in share.reshape(-1).tolist()]
        limits = [-(-n * w // d) for (n, d), w in zip(ratios, unsigned(mass), strict=True)]
        # Rows where the stage is off have P = 1: their limit may be 2^63 and is not used.
        signed = [min(v, 2**63 - 1) for v in limits]
        return torch.tensor(signed, dtype=torch.int64, device=mass.device).reshape(-1, 1)


def _top_k(s: _Stage, k: Tensor) -> Tensor:
    """#{j : x_j > x_i} < k."""
    return s.before(-s.x)[0] < k


def _top_p(s: _Stage, p: Tensor) -> Tensor:
    """Σ_{x_j > x_i} W_j < ceil(P·W)."""
    return s.before(-s.x)[1] < s.limit(p)


def _min_p(s: _Stage, ln_min_p: Tensor) -> Tensor:
    """X ≥ m_S + τ·ln min_p."""
    return s.x >= s.largest() + s.tau * ln_min_p


def _typical_p(s: _Stage, p: Tensor) -> Tensor:
    """Σ_{d_j < d_i} W_j < ceil(P·W), d = |x − c|, c = m − τ·E/W."""
    mass, surprise = s.law.sums(s.keep)
    centre = s.top - s.tau * (real(surprise) / real(mass))
    return s.before((s.x - centre).abs())[1] < s.limit(p)


def _epsilon(s: _Stage, ln_epsilon: Tensor) -> Tensor:
    """X ≥ min(m + τ(ln ε + ln W), m_S)."""
    ln_w = log_mass(s.law.sums(s.keep)[0])
    return s.x >= torch.minimum(s.top + s.tau * (ln_epsilon + ln_w), s.largest())


def _eta(s: _Stage, ln_eta: Tensor) -> Tensor:
    """X ≥ min(m + τ(min(ln η, ½ ln η − H) + ln W), m_S), H = ln W + E/W."""
    mass, surprise = s.law.sums(s.keep)
    ln_w = log_mass(mass)
    entropy = ln_w + real(surprise) / real(mass)
    ln_cut = torch.minimum(ln_eta, 0.5 * ln_eta - entropy)
    return s.x >= torch.minimum(s.top + s.tau * (ln_cut + ln_w), s.largest())


def _top_n_sigma(s: _Stage, n: Tensor) -> Tensor:
    """X ≥ min(m_S − n·σ, m_S), σ of the existing logits within 1024 of m."""
    return s.x >= torch.minimum(s.largest() - n * _sigma(s.rows), s.largest())


def _p_less(s: _Stage, order: Tensor) -> Tensor:
    """X ≥ min(m + τ(ln Σ w^k − ln Σ w)/(k − 1), m_S)."""
    ln_w = log_mass(s.law.sums(s.keep)[0])
    ln_cut = (log_powers(s.law, s.keep, order) - ln_w) / (order - 1.0)
    return s.x >= torch.minimum(s.top + s.tau * ln_cut, s.largest())


def _top_h(s: _Stage, share: Tensor) -> Tensor:
    """Σ_{x_j ≥ x_i} (E_j + W_j ln W) ≤ floor(h · Σ (E_j + W_j ln W)); the first always stay."""
    return kept_by_entropy(s.law, s.keep, s.x, share)


def _xtc(s: _Stage, ln_t: Tensor) -> Tensor:
    """X ≤ the smallest of those with x ≥ m + τ(ln t + ln W), if these are two."""
    ln_w = log_mass(s.law.sums(s.keep)[0])
    choice = s.keep & (s.x >= s.top + s.tau * (ln_t + ln_w))
    least = torch.where(choice, s.x, torch.inf).amin(1, keepdim=True)
    return (s.x <= least) | (choice.sum(1, keepdim=True) < 2)


def _top_a(s: _Stage, ln_top_a: Tensor) -> Tensor:
    """X ≥ min(m_S + τ(ln a + ln max p̂), m_S), τ ln max p̂ = (m_S − m) − τ ln W."""
    largest, ln_w = s.largest(), log_mass(s.law.sums(s.keep)[0])
    cut = (largest + (largest - s.top)) + s.tau * (ln_top_a - ln_w)
    return s.x >= torch.minimum(cut, largest)


def _sigma(rows: Rows) -> Tensor:
    """Return σ = sqrt(n Σq² − (Σq)²)/n of the gaps q below the maximum, [R, 1].

    In units of 2^-24 from exact integers: q < 2^35 is split in two so that no sum wraps.
    """
    gap = rows.x - rows.top
    near = rows.exists & (gap >= -1024.0)
    count = near.sum(1, keepdim=True)
    if not rows.exact:
        mean = torch.where(near, gap, 0.0).sum(1, keepdim=True) / count
        return (torch.where(near, gap - mean, 0.0).square().sum(1, keepdim=True) / count).sqrt()
    q = torch.where(near, (gap.double() * -(2.0**24)).round(), 0.0).long()
    high, low = q >> 17, q & (2**17 - 1)
    parts = (q, high * high, high * low, low * low)
    sums = torch.stack([part.sum(1) for part in parts], 1).tolist()
    spreads = []
    for n, (s1, hh, hl, ll) in zip(count.reshape(-1).tolist(), sums, strict=True):
        spread = n * ((hh << 34) + (hl << 18) + ll) - s1 * s1
        wide = float(spread >> 64) * 2.0**64 + float(spread & (2**64 - 1))
        spreads.append(math.sqrt(wide) / n * 2.0**-24 if n else 0.0)
    return torch.tensor(spreads, dtype=torch.float64, device=gap.device).reshape(-1, 1)


_RULES: dict[str, Callable[[_Stage, Tensor], Tensor]] = {
    "top_k": _top_k,
    "top_p": _top_p,
    "min_p": _min_p,
    "typical_p": _typical_p,
    "epsilon_cutoff": _epsilon,
    "eta_cutoff": _eta,
    "top_n_sigma": _top_n_sigma,
    "p_less": _p_less,
    "top_h": _top_h,
    "top_a": _top_a,
}


def kept(rows: Rows, scaled: Law, base: Law, params: Tensor) -> Tensor:
    """Return the kept set C, bool [R, V]; greedy rows keep the first largest logit only.

    Parameters
    ----------
    rows : Rows
        The logits.
    scaled, base : Law
        The laws at τ and at 1; `cut_on` chooses which one decides.
    params : Tensor
        float64 [R, COLUMNS]; the coin of xtc came up where its chance is 1.
    """
    tau, on_base = params[:, 0:1], params[:, 10:11] != 0.0
    law = Law(*(torch.where(on_base, b, s) for s, b in zip(scaled, base, strict=True)))
    x = rows.x.double()
    td = torch.where(on_base, 1.0, tau)
    stage = _Stage(rows, x, rows.top.double(), law, td, rows.exists)
    for field in FIELDS:
        value = params[:, field.column : field.column + 1]
        on = (value != field.packed(field.off)) & (tau != 0.0)
        if bool(on.any()):
            cut = _RULES[field.name](stage, value)
            stage = replace(stage, keep=stage.keep & (cut | ~on))
    coin = (params[:, 20:21] >= 1.0) & (tau != 0.0)
    if bool(coin.any()):
        stage = replace(stage, keep=stage.keep & (_xtc(stage, params[:, 19:20]) | ~coin))
    first = torch.where(rows.exists, x, -torch.inf).argmax(1, keepdim=True)
    greedy = torch.zeros_like(rows.exists).scatter(1, first, True) & rows.exists
    return torch.where(tau == 0.0, greedy, stage.keep)
