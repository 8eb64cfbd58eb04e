"""Numbers of an adaptor: how many columns it is packed into, and the checks of its fields."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

import torch

from aligndec.reference import exact
from aligndec.shared import real, whole

__all__ = [
    "COLUMNS",
    "beyond_temperature",
    "check",
    "count",
    "ln",
    "number",
]

COLUMNS = 21


def ln(value: float) -> float:
    """Return ln of a parameter, -inf at 0. Our own logarithm: every backend sees the same bits."""
    return float(exact.log(torch.tensor(value, dtype=torch.float64))) if value > 0 else -math.inf


def beyond_temperature(a: Any) -> dict[str, Any]:
    """Return what an adaptor does other than scale: the fields that are not at their default."""
    scales = ("temperature", "dynamic_temperature")
    others = [f for f in fields(a) if f.name not in scales]
    return {f.name: getattr(a, f.name) for f in others if getattr(a, f.name) != f.default}


def check(good: bool, name: str, what: str, value: object) -> None:
    """Raise unless `good`, in the words of all errors about a field of `Adaptor`."""
    if not good:
        raise ValueError(f"Adaptor: {name} must be {what}, got {value!r}")


def number(name: str, value: Any) -> float:
    """Return a field of `Adaptor` as a float; −0 becomes 0."""
    return real("Adaptor", name, value) + 0.0


def count(name: str, value: Any) -> int:
    """Return a field of `Adaptor` that counts as an int >= 0."""
    value = whole("Adaptor", name, value)
    check(value >= 0, name, ">= 0", value)
    return int(value)
