"""The books of one step: what semantics' section 1.1 returns, from the masses of the rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aligndec.reference import exact
from aligndec.reference.dynamic import temper
from aligndec.reference.stages import kept
from aligndec.reference.weights import Law, Rows, less, log_mass, read_rows, real, unsigned, weigh

__all__ = ["Books", "books"]

_ONE = 2**43


@dataclass(frozen=True)
class Books:
    """What is known of rows before a token is named; floats are float64 [R].

    `x` float64 logits [R, V]; `keep` the kept set; `weight` the draw weights over it, 0 elsewhere;
    `mass` their sum [R]; `masses` int64 [2, R] for `testing.masses`; `top` the maximum, `pivot`
    the logit of weight 1 in the kept set; `log_base` and `log_kept_sum` are ln Σ of the weights at
    τ = 1 (all tokens, relative to top) and of the kept ones at τ (relative to pivot).
    """

    rows: Rows
    x: Tensor
    tau: Tensor
    keep: Tensor
    weight: Tensor
    mass: Tensor
    masses: Tensor
    top: Tensor
    pivot: Tensor
    log_base: Tensor
    log_kept_sum: Tensor
    log_z: Tensor
    log_kept: Tensor
    entropy: Tensor
    kl: Tensor
    n_kept: Tensor
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

    def log_p(self, y: Tensor) -> Tensor:
        """x_y − L1; −inf where y does not exist. y int64 [R] in [0, V)."""
        x, exists, _ = self._at(y)
        return torch.where(exists, ((x - self.top) - self.log_base) + 0.0, -torch.inf)

    def log_q(self, y: Tensor) -> Tensor:
        """x_y/τ − LC; −inf outside the kept set."""
        x, _, inside = self._at(y)
        tau = torch.where(self.tau == 0.0, 1.0, self.tau)
        return torch.where(inside, ((x - self.pivot) / tau - self.log_kept_sum) + 0.0, -torch.inf)

    def cut(self) -> Tensor:
        """Return what the gradient reads, float64 [7, R].

        Kept interval lo, hi; absolute log-sums L1, LC; τ; the mean of x under q; the entropy.
        A greedy row, whose q needs no LC, has its token there.
        """
        low = torch.where(self.keep, self.x, torch.inf).amin(1)
        high = torch.where(self.keep, self.x, -torch.inf).amax(1)
        tau = torch.where(self.tau == 0.0, 1.0, self.tau)
        token = self.keep.long().argmax(1)
        log_c = torch.where(self.tau == 0.0, token, self.pivot / tau + self.log_kept_sum)
        log_1 = self.top + self.log_base
        rows = torch.stack([low, high, log_1, log_c, self.tau, self.mean, self.entropy])
        return torch.where(self.rows.bad == 0, rows, torch.nan)

    def _at(self, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logit of y, whether it exists, whether it is kept."""
        index = y[:, None]
        found = (a.gather(1, index)[:, 0] for a in (self.x, self.rows.exists, self.keep))
        x, exists, inside = found
        return x, exists, inside


def books(logits: Tensor, params: Tensor, allowed: Tensor | None, valid_vocab: int) -> Books:
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
    """
    rows = read_rows(logits, allowed, valid_vocab)
    params = params.expand(logits.shape[0], -1)
    base = weigh(rows, rows.top, None)
    params = temper(params, rows, base)
    tau = params[:, 0]
    scaled = weigh(rows, rows.top, params)
    keep = kept(rows, scaled, base, params)
    top = rows.top[:, 0].double()
    w1, e1 = (v[:, 0] for v in base.sums(rows.exists))
    w_tau = scaled.sums(rows.exists)[0][:, 0]
    pivot, inside, w_own = _kept_law(rows, scaled, keep, params)
    weight = torch.where(keep, inside.weight, 0)
    w_c, e_c = (v[:, 0] for v in inside.sums(keep))
    log_1, log_c = log_mass(w1), log_mass(w_c)
    shift = pivot - top
    divisor = torch.where(tau == 0.0, 1.0, tau)
    log_sum = log_c + shift / divisor
    log_kept = _log_share(w_own, w_tau, log_sum - log_mass(w_tau))
    log_z = torch.where(tau == 1.0, log_kept, log_sum - log_1 / divisor)
    kl = (log_1 - log_c - shift) + (tau - 1.0) * (real(e_c) / real(w_c))
    kl = torch.where(tau == 1.0, 0.0 - log_kept, kl.clamp(min=0.0))
    greedy = tau == 0.0
    mean = torch.where(greedy, top, pivot - tau * (real(e_c) / real(w_c)))
    one = _ONE if rows.exact else 1.0
    masses = torch.stack([torch.where(greedy, one, w_tau), torch.where(greedy, one, w_own)])
    masses = masses if rows.exact else (masses * _ONE).round().long()
    return Books(
        rows=rows,
        x=rows.x.double(),
        tau=tau,
        keep=keep,
        weight=weight,
        mass=w_c,
        masses=torch.where(rows.bad == 0, masses, 0),
        top=top,
        pivot=pivot,
        log_base=log_1,
        log_kept_sum=log_c,
        log_z=torch.where(greedy, 0.0 - log_1, log_z) + 0.0,
        log_kept=torch.where(greedy, 0.0 - log_1, log_kept) + 0.0,
        entropy=(log_1 + real(e1) / real(w1)).clamp(min=0.0) + 0.0,
        kl=torch.where(greedy, log_1, kl) + 0.0,
        n_kept=keep.sum(1),
        mean=mean,
    )


def _kept_law(rows: Rows, scaled: Law, keep: Tensor, params: Tensor) -> tuple[Tensor, Law, Tensor]:
    """Pivot [R], law of the kept set relative to it, and its mass relative to the row's maximum.

    typical_p on the base law may drop every token that the scaled law gives any mass to (τ < 1):
    the kept tokens are then weighed relative to their own maximum.
    """
    mass = scaled.sums(keep)[0]
    top = rows.top
    empty = (mass == 0) & keep.any(1, keepdim=True)
    if not bool(empty.any()):
        return top[:, 0].double(), scaled, mass[:, 0]
    own = torch.where(keep, rows.x, -torch.inf).amax(1, keepdim=True)
    pivot = torch.where(empty, own, top)
    law = weigh(rows, pivot, params)
    chosen = Law(*(torch.where(empty, a, b) for a, b in zip(law, scaled, strict=True)))
    return pivot[:, 0].double(), chosen, mass[:, 0]


def _log_share(part: Tensor, whole: Tensor, log_ratio: Tensor) -> Tensor:
    """ln(part/whole): log1p(−R/whole) from the removed mass R when it is the smaller one."""
    removed = whole - part
    small = exact.log1p_negative(-(real(removed) / real(whole)))
    return torch.where(less(removed, part), small, log_ratio)
