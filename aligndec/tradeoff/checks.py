"""Argument checks of the trade-off: float64 arrays without NaN, laws, numbers in a range."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["law", "number", "series"]


def series(
    function: str,
    name: str,
    value: Any,
    shape: Sequence[int] | None = None,
    *,
    low: float = -math.inf,
    infinite: bool = False,
) -> Tensor:
    """Return an array as float64 without a gradient: no NaN, ``> low``, finite unless `infinite`.

    A `shape` of −1 entries fixes the number of dimensions only.
    """
    try:
        # Not through the default dtype: a Python number has 53 bits.
        x = value if isinstance(value, Tensor) else torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{function}: {name} must be a Tensor, got {value!r}") from error
    x = x.detach().double()
    fits = shape is None or (
        x.dim() == len(shape) and all(a in (-1, b) for a, b in zip(shape, x.shape, strict=True))
    )
    if not fits:
        wanted = ", ".join(":" if n < 0 else str(n) for n in shape or ())
        raise ValueError(f"{function}: {name} must be [{wanted}], got {list(x.shape)}")
    bad = x.isnan() if infinite else ~x.isfinite()
    if low > -math.inf:
        bad |= x <= low
    if bool(bad.any()):
        at = tuple(bad.nonzero()[0].tolist())
        above = f"> {low:g} and finite" if low > -math.inf else "finite"
        what = "without NaN" if infinite else above
        where = f" at {list(at)}" if at else ""
        raise ValueError(f"{function}: {name} must be {what}, got {x[at].item()}{where}")
    return x


def law(function: str, log_p: Any) -> Tensor:
    """Return log-probabilities [..., K], K >= 1, finite or −inf, renormalised in float64."""
    x = series(function, "log_p", log_p, infinite=True)
    if x.dim() == 0 or x.shape[-1] == 0:
        raise ValueError(f"{function}: log_p must be [..., K] with K >= 1, got {list(x.shape)}")
    total = x.logsumexp(-1, keepdim=True)
    if not bool(total.isfinite().all()):
        raise ValueError(
            f"{function}: log_p must be finite or -inf, and finite somewhere in each law, got a "
            f"total of {total[~total.isfinite()][0].item()}"
        )
    return x - total


def number(function: str, name: str, value: Any, low: float, *, strict: bool = True) -> float:
    """Return a number ``> low`` (``>= low`` unless `strict`); inf is one, NaN is not."""
    try:
        x = float(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{function}: {name} must be a number, got {value!r}") from error
    if not (x > low if strict else x >= low):
        sign = ">" if strict else ">="
        raise ValueError(f"{function}: {name} must be {sign} {low:g}, got {value!r}")
    return x
