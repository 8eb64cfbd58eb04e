"""The books of one step: what semantics' section 1.1 returns, from the masses of the rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aligndec.reference import exact
from aligndec.reference.dynamic import temper
from aligndec.reference.stages import kept
from aligndec.reference.weights import (
    Law,
    Rows,
    Sparse,
    edit_rows,
    less,
    log_mass,
    read_rows,
    real,
    unsigned,
    weigh,
)
from aligndec.shared import dense

__all__ = ["Books", "books"]

_ONE = 2**43
_FAR = 2**20
"""Kept masses below this are taken relative to the maximum of the kept set (semantics, 8)."""


@dataclass(frozen=True)
class Books:
    """What is known of rows before a token is named; floats are float64 [R].

    `rows` the logits as they came and `edited` with the bias added, the same without one; `keep`
    the kept set; `weight` the draw weights over it, 0 elsewhere; `mass` their sum [R]; `masses`
    int64 [2, R] for `testing.masses`; `pivot` the edited logit of weight 1 in the kept set;
    `log_base` and `log_kept_sum` are ln Σ of the weights at τ = 1 (all tokens as they came,
    relative to their maximum) and of the kept ones at τ (relative to pivot); `mean` that of the
    edited logits under q. `void` int64 [R]: 0,
    2 where no token is kept, 5 where the given set is unknown.
    """

    rows: Rows
    edited: Rows
    tau: Tensor
    keep: Tensor
    weight: Tensor
    mass: Tensor
    masses: Tensor
    pivot: Tensor
    log_base: Tensor
    log_kept_sum: Tensor
    log_z: Tensor
    log_kept: Tensor
    entropy: Tensor
    kl: Tensor
    n_kept: Tensor
    void: Tensor
    mean: Tensor

    def draw(self, bits: Tensor) -> Tensor:
        """Return the first id whose inclusive prefix sum exceeds floor(r·W_C/2^64); bits r [R]."""
        if not self.rows.exact:
            share = torch.tensor([r * 2.0**-64 for r in unsigned(bits)], dtype=torch.float64)
            target = share.to(self.mass.device) * self.mass
            below = (self.weight.cumsum(1) <= target[:, None]) | (self.weight == 0)
            # Rounding may leave the target at the very end: the last kept id then.
            last = self.weight.shape[1] - 1 - (self.weight > 0).flip(1).int().argmax(1)
            return torch.where(below.all(1), last, below.int().argmin(1))
        pairs = zip(unsigned(bits), unsigned(self.mass), strict=True)
        listed = [(r * w) >> 64 for r, w in pairs]
        target = torch.tensor(listed, dtype=torch.int64, device=self.mass.device)
        # prefix > target, where a prefix of 2^63 reads as negative.
        return (self.weight.cumsum(1) - 1 >= target[:, None]).int().argmax(1)

    @property
    def top(self) -> Tensor:
        """The largest logit as it came, [R]."""
        return self.rows.top[:, 0].double()

    def log_p(self, y: Tensor) -> Tensor:
        """x_y − L1; −inf where y does not exist. y int64 [R] in [0, V)."""
        log_p = ((_at(self.rows.x.double(), y) - self.top) - self.log_base) + 0.0
        return torch.where(_at(self.rows.exists, y), log_p, -torch.inf)

    def log_q(self, y: Tensor) -> Tensor:
        """z_y/τ − LC, z the edited logits; −inf outside the kept set."""
        gap = _at(self.edited.x.double(), y) - self.pivot
        log_q = (gap / _divisor(self.tau) - self.log_kept_sum) + 0.0
        log_q = torch.where(self.tau == 0.0, 0.0, log_q)
        return torch.where(_at(self.keep, y), log_q, -torch.inf)

    def cut(self) -> Tensor:
        """Return what the gradient reads, float64 [7, R].

        Kept interval lo, hi; absolute log-sums L1, LC; τ; the mean of z under q; the entropy.
        A greedy row, whose q needs no LC, has its token there.
        """
        z = self.edited.x.double()
        low = torch.where(self.keep, z, torch.inf).amin(1)
        high = torch.where(self.keep, z, -torch.inf).amax(1)
        log_c = self.pivot / _divisor(self.tau) + self.log_kept_sum
        log_c = torch.where(self.tau == 0.0, self.keep.long().argmax(1), log_c)
        known = self.void == 0
        low, high, log_c, mean = (
            torch.where(known, c, torch.nan) for c in (low, high, log_c, self.mean)
        )
        log_1 = self.top + self.log_base
        rows = torch.stack([low, high, log_1, log_c, self.tau, mean, self.entropy])
        return torch.where(self.rows.bad == 0, rows, torch.nan)


def _at(rows: Tensor, y: Tensor) -> Tensor:
    return rows.gather(1, y[:, None])[:, 0]


def _divisor(tau: Tensor) -> Tensor:
    """τ with 1 for greedy rows."""
    return torch.where(tau == 0.0, 1.0, tau)


def books(
    logits: Tensor,
    params: Tensor,
    allowed: Tensor | None,
    valid_vocab: int,
    bias: Sparse | None = None,
    given: Sparse | None = None,
) -> Books:
    """Read rows, cut them and count their masses.

    Parameters
    ----------
    logits : Tensor
        [R, V], float32, float16, bfloat16 or float64.
    params : Tensor
        float64 [1 | R, COLUMNS].
    allowed : Tensor or None
        bool [1 | R, V] or int32 [1 | R, ceil(V/32)].
    valid_vocab : int
        Ids from here on do not exist.
    bias : three tensors or None
        ids int32 [nnz], offsets int64 [R + 1], values float32 [nnz]: z = x + b is scaled and cut,
        log_p, L1 and entropy are those of x.
    given : three tensors or None
        ids, offsets, complete bool [R]: the kept sets, in place of the stages; the temperature
        alone applies.
    """
    rows = read_rows(logits, allowed, valid_vocab)
    edited = edit_rows(rows, bias)
    # What bias makes of a row is bad only where it overflows.
    rows = rows._replace(bad=torch.where(edited.bad == 1, 1, rows.bad))
    params = params.expand(logits.shape[0], -1)
    base = weigh(rows, rows.top, None)
    own = base if bias is None else weigh(edited, edited.top, None)
    params = temper(params, edited, own)
    tau = params[:, 0]
    scaled = weigh(edited, edited.top, params)
    keep, void = _kept_sets(edited, scaled, own, params, given)
    top = rows.top[:, 0].double()
    w1, e1 = (v[:, 0] for v in base.sums(rows.exists))
    w_tau = scaled.sums(edited.exists)[0][:, 0]
    pivot, inside, w_own = _kept_law(edited, scaled, keep, params)
    weight = torch.where(keep, inside.weight, 0)
    w_c, e_c = (v[:, 0] for v in inside.sums(keep))
    log_1, log_c = log_mass(w1), log_mass(w_c)
    divisor = _divisor(tau)
    log_sum = log_c + (pivot - edited.top[:, 0].double()) / divisor
    log_kept = _log_share(w_own, w_tau, log_sum - log_mass(w_tau))
    log_z = (log_c + (pivot - top) / divisor) - log_1 / divisor
    kl = (log_1 - log_c - (pivot - top)) + (tau - 1.0) * (real(e_c) / real(w_c))
    if bias is None:
        log_z = torch.where(tau == 1.0, log_kept, log_z)
        kl = torch.where(tau == 1.0, 0.0 - log_kept, kl)
    else:
        moved = torch.where(keep, edited.x.double() - rows.x.double(), 0.0)
        kl = kl + (real(weight) * moved).sum(1) / real(w_c)
    greedy = tau == 0.0
    best = torch.where(keep, rows.x.double(), -torch.inf).amax(1)
    log_best = (best - top) - log_1
    mean = torch.where(greedy, edited.top[:, 0].double(), pivot - tau * (real(e_c) / real(w_c)))
    one = _ONE if rows.exact else 1.0
    masses = torch.stack([torch.where(greedy, one, w_tau), torch.where(greedy, one, w_own)])
    masses = masses if rows.exact else (masses * _ONE).round().long()
    return Books(
        rows=rows,
        edited=edited,
        tau=tau,
        keep=keep,
        weight=weight,
        mass=w_c,
        masses=torch.where((rows.bad == 0) & (void == 0), masses, 0),
        pivot=pivot,
        log_base=log_1,
        log_kept_sum=log_c,
        log_z=torch.where(greedy, log_best, log_z) + 0.0,
        log_kept=torch.where(greedy, log_best, log_kept) + 0.0,
        entropy=(log_1 + real(e1) / real(w1)).clamp(min=0.0) + 0.0,
        kl=torch.where(greedy, 0.0 - log_best, kl.clamp(min=0.0)) + 0.0,
        n_kept=keep.sum(1),
        void=void,
        mean=mean,
    )


def _kept_sets(
    edited: Rows, scaled: Law, base: Law, params: Tensor, given: Sparse | None
) -> tuple[Tensor, Tensor]:
    """Return the kept sets bool [R, V], and which of them are void: 2 empty, 5 unknown, else 0."""
    if given is None:
        return kept(edited, scaled, base, params), torch.where(edited.bad == 2, 2, 0)
    ids, offsets, complete = given
    keep = edited.exists & dense(ids, offsets, True, edited.x.shape[1]) & complete[:, None]
    void = torch.where(complete, torch.where(keep.any(1), 0, 2), 5)
    best = torch.where(keep, edited.x, -torch.inf).argmax(1, keepdim=True)
    first = torch.zeros_like(keep).scatter(1, best, True) & keep
    return torch.where(params[:, 0:1] == 0.0, first, keep), void


def _kept_law(rows: Rows, scaled: Law, keep: Tensor, params: Tensor) -> tuple[Tensor, Law, Tensor]:
    """Pivot [R], law of the kept set relative to it, and its mass relative to the row's maximum.

    A set so far below the maximum that its mass has few digits is weighed relative to its own
    maximum: given sets of another model, and typical_p on the base law at τ < 1.
    """
    mass = scaled.sums(keep)[0]
    top = rows.top
    far = less(mass, torch.full_like(mass, _FAR if rows.exact else _FAR / _ONE))
    far &= keep.any(1, keepdim=True)
    if not bool(far.any()):
        return top[:, 0].double(), scaled, mass[:, 0]
    own = torch.where(keep, rows.x, -torch.inf).amax(1, keepdim=True)
    pivot = torch.where(far, own, top)
    law = weigh(rows, pivot, params)
    chosen = Law(*(torch.where(far, a, b) for a, b in zip(law, scaled, strict=True)))
    return pivot[:, 0].double(), chosen, mass[:, 0]


def _log_share(part: Tensor, whole: Tensor, log_ratio: Tensor) -> Tensor:
    """ln(part/whole): log1p(−R/whole) from the removed mass R when it is the smaller one."""
    removed = whole - part
    small = exact.log1p_negative(-(real(removed) / real(whole)))
    return torch.where(less(removed, part), small, log_ratio)
