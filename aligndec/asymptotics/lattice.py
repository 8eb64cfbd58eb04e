"""Sums of m independent rewards on a lattice: their exact law by convolution."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Lattice", "convolve", "lattice_of"]

Array = NDArray[np.float64]

# Relative deviation at which rewards still count as multiples of one step.
_TOLERANCE = 1e-9
# Levels of the sum that are worth convolving: the work grows with the square.
_MOST = 1 << 18


class Lattice(NamedTuple):
    """Rewards origin + step · k; `level` int64 [V] is k (0 on absent outcomes)."""

    origin: float
    step: float
    level: NDArray[np.int64]


def lattice_of(function: str, r: Array, present: NDArray[np.bool_], m: int) -> Lattice:
    """Find the widest lattice of the rewards of one row, or refuse them."""
    values = np.unique(r[present])
    origin, span = float(values[0]), float(values[-1] - values[0])
    if span == 0.0:
        return Lattice(origin, 1.0, np.zeros(r.shape, dtype=np.int64))
    step = 0.0
    for gap in values[1:] - origin:
        step = _common(step, float(gap), span * _TOLERANCE)
    levels = (r - origin) / step
    rounded = np.where(present, np.round(levels), 0.0)
    off = np.abs(np.where(present, levels - rounded, 0.0)).max() * step
    if off > 10 * _TOLERANCE * span or rounded.max() * m > _MOST:
        raise ValueError(
            f"{function}: r must be origin + step · k with integers k and m · max k <= {_MOST}, "
            f"got rewards whose widest common step is {step:g} of a range of {span:g}"
        )
    # The step as the range has it: no error accumulates over the levels.
    return Lattice(origin, span / float(rounded.max()), rounded.astype(np.int64))


def _common(a: float, b: float, tolerance: float) -> float:
    """Greatest common divisor of two gaps, remainders below `tolerance` being 0."""
    while b > tolerance:
        rest = a % b
        a, b = b, min(rest, b - rest)
    return a


def convolve(weights: Array, m: int) -> Array:
    """Return the m-fold convolution of weights >= 0, by squaring; nothing cancels."""
    out, base = np.ones(1), weights
    while m:
        if m & 1:
            out = np.convolve(out, base)
        m >>= 1
        if m:
            base = np.convolve(base, base)
    return out
