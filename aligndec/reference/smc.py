"""The specification of resampling in a particle filter, in eager PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor

from aligndec import rng
from aligndec.reference import exact

__all__ = ["SCHEMES", "smc_resample"]

SCHEMES = ("systematic", "stratified", "multinomial", "residual")

_LOW32 = 0xFFFFFFFF

# Numbers of up to 124 bits are pairs of int64: either (high, low) 62-bit halves, or quotient and
# remainder by the total mass, which is what the comparisons below are about.
_Pair = tuple[Tensor, Tensor]


def smc_resample(
    log_weight: Tensor,
    threshold: float,
    scheme: int,
    seed: int,
    sequence_ids: Tensor | None,
    position: int,
    positions: Tensor | None,
    uniforms: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Decide for each of F filters whether its N slots get new ancestors, and which.

    With W_i = RNE(e^(ln w_i − max ln w) · 2^(62 − bit length of N)) and W = Σ W_i, due iff
    W² / Σ W_i² < threshold · N. Then, with the random bits r:

    * systematic, stratified: slot k takes the first i with N · cum W_i > k · W + floor(r W / 2^64),
      r of slot 0 or of slot k.
    * multinomial: the first i with cum W_i > floor(r_k W / 2^64), in ascending order.
    * residual: floor(N W_i / W) copies of each i; the slots that are left are drawn as by
      "multinomial" with the remainders N W_i mod W. All in ascending order.

    Parameters
    ----------
    log_weight : Tensor
        float64 [F, N], 1 <= N < 2^31, finite or −inf.
    threshold : float
        In [0, 1].
    scheme : int
        Place in `SCHEMES`.
    seed : int
        Signed 64-bit view of the run seed.
    sequence_ids : Tensor or None
        int64 [F · N], names of the slots; None: 0, 1, ….
    position, positions : int, Tensor or None
        Of all filters, or int64 [F].
    uniforms : Tensor or None
        float64 [F] (systematic) or [F · N] in [0, 1) in place of the random bits.

    Returns
    -------
    ancestor : Tensor
        int64 [F, N]; the identity where nothing is due.
    ess, log_mean : Tensor
        float64 [F]; 0 and −inf where no particle has weight.
    due : Tensor
        bool [F].

    References
    ----------
    Douc, Cappé, Moulines 2005; Chopin, Papaspiliopoulos 2020, chapter 9.
    """
    filters, n = log_weight.shape
    device = log_weight.device
    if not 1 <= n < 2**31:
        raise ValueError(f"smc_resample: log_weight must be [F, 1 <= N < 2^31], got {[filters, n]}")
    slot = torch.arange(n, device=device)
    identity = slot.expand(filters, n).contiguous()
    top = log_weight.amax(1)
    live = top > -torch.inf
    unit = 2.0 ** (62 - n.bit_length())
    gap = log_weight - torch.where(live, top, 0.0)[:, None]
    mass = (exact.exp64(gap) * unit).round().long()
    cumulative = mass.cumsum(1)
    total = cumulative[:, -1].clamp(min=1)  # 1: a filter without weight, whose numbers are not used
    ess = _double(_square(total)) / _double(_sum(_square(mass)))
    mean = total.double() / unit / n
    log_mean = torch.where(live, top + exact.log(mean), -torch.inf)
    ess = torch.where(live, ess, 0.0)
    due = live & (ess < threshold * n)

    name = SCHEMES[scheme]
    if uniforms is not None:
        bits = rng.bits_from_uniform(uniforms).view(filters, -1)
    else:
        if sequence_ids is None:
            sequence_ids = torch.arange(filters * n, device=device)
        ids = sequence_ids.view(filters, n)
        at = position if positions is None else positions[:, None]
        bits = rng.philox(seed, ids[:, :1] if name == "systematic" else ids, at, rng.RESAMPLING)[0]
    offset = rng.multiply_high(bits, total[:, None])
    if name in ("systematic", "stratified"):
        key = _divided(cumulative, n, total)
        found = _first_above(key, (identity, offset.expand(filters, n)))
    elif name == "multinomial":
        found = torch.searchsorted(cumulative, offset, right=True).sort(1).values
    else:
        found = _residual(mass, cumulative, total, bits)
    return torch.where(due[:, None], found, identity), ess, log_mean, due


def _residual(mass: Tensor, cumulative: Tensor, total: Tensor, bits: Tensor) -> Tensor:
    """Ancestors [F, N] with floor(N W_i / W) copies of each i for certain."""
    n = mass.shape[1]
    copies = _divided(mass, n, total)[0]
    # Running sums of the remainders: N cum W_i less W for every copy before.
    quotient, rest = _divided(cumulative, n, total)
    key = (quotient - copies.cumsum(1), rest)
    drawn = n - copies.sum(1, keepdim=True)
    # floor(r · drawn · W / 2^64) is a multiple of W and a draw by the fraction that is left of r.
    high, low = rng.multiply_high(bits, drawn), bits * drawn
    target = (high, rng.multiply_high(low, total[:, None]))
    place = _first_above(key, target)
    slot = torch.arange(n, device=mass.device)
    copies = copies.scatter_add(1, place, (slot < drawn).long())
    return torch.searchsorted(copies.cumsum(1), slot.expand_as(copies).contiguous(), right=True)


def _first_above(key: _Pair, target: _Pair) -> Tensor:
    """Place of the first ascending key [F, N] above each target [F, K]; the last one if none is."""
    n = key[0].shape[1]
    low = torch.zeros_like(target[0])
    high = torch.full_like(low, n - 1)
    for _ in range(n.bit_length()):
        middle = (low + high) // 2
        first, second = key[0].gather(1, middle), key[1].gather(1, middle)
        above = (first > target[0]) | ((first == target[0]) & (second > target[1]))
        high = torch.where(above, middle, high)
        low = torch.where(above, low, torch.minimum(middle + 1, high))
    return low


def _divided(x: Tensor, n: int, total: Tensor) -> _Pair:
    """Quotient and remainder of n · x by the total [F], for x <= total < 2^62."""
    whole = total[:, None]
    # The float64 quotient is off by less than 1; the remainder is exact mod 2^64 and small.
    quotient = (x.double() / whole.double() * n).floor().long()
    rest = x * n - quotient * whole
    step = (rest >= whole).long() - (rest < 0).long()
    return quotient + step, rest - step * whole


def _square(x: Tensor) -> _Pair:
    """x² of 0 <= x < 2^62 as (high, low) with low < 2^62."""
    low = (x * x) & (2**62 - 1)
    return (rng.multiply_high(x, x) << 2) | (((x * x) >> 62) & 3), low


def _sum(pair: _Pair) -> _Pair:
    """Sum over the last dimension, in halves that cannot overflow."""
    high, low = pair
    first, second = (low & (2**31 - 1)).sum(-1), (low >> 31).sum(-1)
    second = second + (first >> 31)
    return high.sum(-1) + (second >> 31), ((second & (2**31 - 1)) << 31) | (first & (2**31 - 1))


def _double(pair: _Pair) -> Tensor:
    """Return the float64 nearest to high · 2^62 + low, ties to even."""
    high, low = pair
    # Leading bits of `high` with the next of `low`, as many as 62 hold; the last is set where more
    # follow, which rounds as all of them would.
    length = torch.zeros_like(high)
    for step in (32, 16, 8, 4, 2, 1):
        more = (high >> (length + step - 1)) > 0
        length = torch.where(more, length + step, length)
    cut = low & ((1 << length) - 1)
    lead = (high << (62 - length)) | (low >> length) | (cut > 0).long()
    return torch.ldexp(lead.double(), length)
