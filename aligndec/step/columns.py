"""The packed form of an adaptor: 13 float64 columns, and the checks of its fields."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from aligndec.reference import exact
from aligndec.shared import real, whole

__all__ = [
    "COLUMNS",
    "check",
    "columns",
    "count",
    "number",
]

COLUMNS = 13


def columns(a: Any) -> list[float]:
    """Return the packed parameters of an adaptor."""
    # 1/τ as the sum of two float32 numbers: one alone is measurably wrong at V = 2^17.
    inverse = 1.0 / a.temperature if a.temperature > 0.0 else 0.0
    high = float(np.float32(inverse))
    low = float(np.float32(inverse - high))
    ln_min_p, ln_epsilon, ln_eta = (_ln(v) for v in (a.min_p, a.epsilon_cutoff, a.eta_cutoff))
    base = float(a.cut_on == "base")
    return [
        *(a.temperature, high, low, float(min(a.top_k, 2**53)), a.top_p, ln_min_p, a.typical_p),
        *(ln_epsilon, ln_eta, a.top_n_sigma, base, a.mirostat_tau, a.mirostat_lr),
    ]


def _ln(value: float) -> float:
    # Our own logarithm: every backend must see the same bits.
    return float(exact.log(torch.tensor(value, dtype=torch.float64))) if value > 0 else -math.inf


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
