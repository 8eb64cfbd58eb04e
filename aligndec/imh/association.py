"""Cramér's V of an observed chain of states, from the pairs that occurred."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from aligndec.shared import plain_arguments, whole

__all__ = ["cramers_v"]


@plain_arguments
def cramers_v(
    states: Tensor, lag: int = 1, correction: Literal["none", "bergsma"] = "none"
) -> float:
    """Association of the states that lie `lag` steps apart.

    Parameters
    ----------
    states : Tensor
        int64 [n]: names of the states, n > lag; string numbers as a rule.
    lag : int
        Steps between the two states of a pair, >= 1.
    correction : {"none", "bergsma"}
        "none": V = sqrt(X² / (m · min(r − 1, c − 1))) of the m pairs in r rows and c columns that
        occur. Independent draws from k states give about sqrt((k − 1)/(m − 1)), not 0.
        "bergsma": that floor taken off.

    Returns
    -------
    float
        In [0, 1]. 1.0 when all pairs share their first or their second state, as those of a chain
        that never moves do. NaN with the correction when no state occurs twice, because such a
        table says nothing. `diagnostics` has the exact value of the stationary chain.

    References
    ----------
    Cramér 1946; Bergsma 2013.
    """
    lag = whole("imh.cramers_v", "lag", lag)
    if lag < 1:
        raise ValueError(f"imh.cramers_v: lag must be >= 1, got {lag}")
    if correction not in ("none", "bergsma"):
        raise ValueError(
            f'imh.cramers_v: correction must be "none" or "bergsma", got {correction!r}'
        )
    good = isinstance(states, Tensor) and states.dtype == torch.int64 and states.dim() == 1
    if not good or len(states) <= lag:
        got = f"{states.dtype} {list(states.shape)}" if isinstance(states, Tensor) else states
        raise ValueError(f"imh.cramers_v: states must be int64 [n] with n > lag = {lag}, got {got}")
    first, row, rows = torch.unique(states[:-lag], return_inverse=True, return_counts=True)
    second, column, columns = torch.unique(states[lag:], return_inverse=True, return_counts=True)
    m, r, c = len(states) - lag, len(first), len(second)
    if min(r, c) == 1:
        return 1.0
    cell, count = torch.unique(row * c + column, return_counts=True)
    expected = rows[cell // c].double() * columns[cell % c]
    # X² = Σ (n_ij − E_ij)² / E_ij over all cells, the empty ones too.
    phi2 = float((count.double().square() / expected).sum()) - 1.0
    if correction == "none":
        return math.sqrt(max(0.0, phi2 / min(r - 1, c - 1)))
    phi2 = max(0.0, phi2 - (r - 1) * (c - 1) / (m - 1))
    smaller = min(k - 1 - (k - 1) ** 2 / (m - 1) for k in (r, c))
    return math.sqrt(phi2 / smaller) if smaller > 0 else math.nan
