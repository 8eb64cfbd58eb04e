"""The registry of what cuts a law: one entry a stage. Packing, checks, benches and docs read it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from aligndec.reference.columns import COLUMNS, check, ln, number

__all__ = ["FIELDS", "TUPLES", "Field", "columns", "several"]


class Field(NamedTuple):
    """One field of `Adaptor` that cuts the law: what documentation, tests and benches iterate.

    `off` is the value that skips the stage, `column` its place in the packed parameters, `keeps`
    the condition under which token i stays (p̂: the law that enters the stage), `allowed` the range
    and `holds` its test, `packed` the number that the kernels read.
    """

    name: str
    off: float
    column: int
    allowed: str
    keeps: str
    holds: Callable[[float], bool]
    packed: Callable[[float], float] = float


def _share(v: float) -> bool:
    return 0.0 < v <= 1.0


def _ratio(v: float) -> bool:
    return 0.0 <= v <= 1.0


def _below_one(v: float) -> bool:
    return 0.0 <= v < 1.0


def _finite(v: float) -> bool:
    return 0.0 <= v < math.inf


def _order(v: float) -> bool:
    return v == 0.0 or 1.5 <= v <= 64.0


def _count(v: float) -> float:
    return float(min(v, 2**53))


FIELDS: tuple[Field, ...] = (
    Field("top_k", 0, 3, ">= 0", "#{j : p̂_j > p̂_i} < k", lambda v: v >= 0, _count),
    Field("top_p", 1.0, 4, "in (0, 1]", "Σ_{p̂_j > p̂_i} p̂_j < top_p", _share),
    Field("min_p", 0.0, 5, "in [0, 1]", "p̂_i ≥ min_p · max p̂", _ratio, ln),
    Field(
        *("typical_p", 1.0, 6, "in (0, 1]"),
        *("Σ_{d_j < d_i} p̂_j < typical_p, d = |−ln p̂ − H(p̂)|", _share),
    ),
    Field("epsilon_cutoff", 0.0, 7, "in [0, 1)", "p̂_i ≥ ε", _below_one, ln),
    Field("eta_cutoff", 0.0, 8, "in [0, 1)", "p̂_i ≥ min(η, √η · exp(−H(p̂)))", _below_one, ln),
    Field("top_n_sigma", 0.0, 9, ">= 0 and finite", "x_i ≥ max x − n·σ(x)", _finite),
    Field("p_less", 0.0, 14, "0 or in [1.5, 64]", "p̂_i ≥ (Σ p̂^k)^(1/(k − 1))", _order),
    Field("top_h", 0.0, 15, "in [0, 1]", "Σ_{p̂_j ≥ p̂_i} −p̂_j ln p̂_j ≤ top_h · H(p̂)", _ratio),
    Field("top_a", 0.0, 13, "in [0, 1]", "p̂_i ≥ top_a · (max p̂)²", _ratio, ln),
)
"""The truncation stages in the order in which they are applied, after the temperature.

`xtc`, which cuts last and with a coin, and `dynamic_temperature` stand apart: they are tuples.
"""


TUPLES = ("dynamic_temperature", "xtc")


def several(name: str, value: Any) -> tuple[float, ...] | None:
    """Check one of the fields that are tuples of numbers."""
    if value is None:
        return None
    size, parts = {
        "dynamic_temperature": (3, "(low, high, exponent)"),
        "xtc": (2, "(threshold, probability)"),
    }[name]
    if not isinstance(value, (tuple, list)) or len(value) != size:
        raise TypeError(f"Adaptor: {name} must be {parts} or None, got {value!r}")
    numbers = tuple(number(name, v) for v in value)
    if name == "xtc":
        good = 2.0**-20 <= numbers[0] <= 1.0 and 0.0 <= numbers[1] <= 1.0
        check(good, name, "(t in [2^-20, 1], probability in [0, 1])", value)
    else:
        low, high, exponent = numbers
        good = 1e-3 <= low <= high <= 1e3 and 0.0 < exponent < math.inf
        check(good, name, "1e-3 <= low <= high <= 1e3, exponent > 0", value)
    return numbers


def columns(a: Any) -> list[float]:
    """Return the packed parameters of an adaptor."""
    row = [0.0] * COLUMNS
    # 1/τ as the sum of two float32 numbers: one alone is measurably wrong at V = 2^17.
    inverse = 1.0 / a.temperature if a.temperature > 0.0 else 0.0
    high = float(np.float32(inverse))
    row[0:3] = a.temperature, high, float(np.float32(inverse - high))
    row[10:13] = float(a.cut_on == "base"), a.mirostat_tau, a.mirostat_lr
    for field in FIELDS:
        row[field.column] = field.packed(getattr(a, field.name))
    row[16:19] = a.dynamic_temperature or (1.0, 1.0, 0.0)
    threshold, row[20] = a.xtc or (0.0, 0.0)
    row[19] = ln(threshold)
    return row
