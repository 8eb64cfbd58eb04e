"""Checks of the numbers that functions take."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["at_least", "at_least_if_given", "real", "whole"]


def real(function: str, name: str, value: Any) -> float:
    """Return a number as float; anything else, a bool included, is a TypeError."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating, np.integer)):
        raise TypeError(f"{function}: {name} must be a number, got {value!r}")
    return float(value)


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
