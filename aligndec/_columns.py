"""Numbers of an adaptor: how many columns it is packed into, and the checks of its fields."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from aligndec import _exact

__all__ = [
    "COLUMNS",
    "at_least",
    "at_least_if_given",
    "check",
    "count",
    "ln",
    "number",
    "real",
    "whole",
]

COLUMNS = 21


def ln(value: float) -> float:
    """Return ln of a parameter, -inf at 0. Our own logarithm: every backend sees the same bits."""
    return float(_exact.log(torch.tensor(value, dtype=torch.float64))) if value > 0 else -math.inf


def check(good: bool, name: str, what: str, value: object) -> None:
    if not good:
        raise ValueError(f"Adaptor: {name} must be {what}, got {value!r}")


def number(name: str, value: Any) -> float:
    return real("Adaptor", name, value) + 0.0


def real(function: str, name: str, value: Any) -> float:
    """Return a number as float; anything else, a bool included, is a TypeError."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating, np.integer)):
        raise TypeError(f"{function}: {name} must be a number, got {value!r}")
    return float(value)


def count(name: str, value: Any) -> int:
    value = whole("Adaptor", name, value)
    check(value >= 0, name, ">= 0", value)
    return int(value)


def whole(function: str, name: str, value: Any, what: str = "an int") -> int:
    """Return an integer argument as int; anything else, a bool included, is a TypeError."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{function}: {name} must be {what}, got {value!r}")
    # Not int(value) for an int: a symbolic one, while compiling, stays symbolic.
    return value if isinstance(value, int) else int(value)


def at_least(function: str, bound: int, **given: Any) -> None:
    """Check that whole numbers are not below a bound."""
    for name, value in given.items():
        if whole(function, name, value) < bound:
            raise ValueError(f"{function}: {name} must be >= {bound}, got {value}")


def at_least_if_given(function: str, bound: int, **given: Any) -> None:
    """Check the same of those that are not None."""
    at_least(function, bound, **{k: value for k, value in given.items() if value is not None})
