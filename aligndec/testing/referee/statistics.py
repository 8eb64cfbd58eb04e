"""P-values of draws against an exact law."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from aligndec.testing.referee.law import Law

__all__ = ["Pairs", "chi_square", "mean_z", "pairs", "two_sided"]

# Cells of fewer expected draws are pooled (Cochran 1954). Below so many cells, or where a pool
# stays small, the p-value is simulated.
_LEAST, _FEW, _SIMULATED = 5.0, 8, 19_999
# A normal approximation of a mean of n terms needs n well above their fourth moment.
_TERMS_PER_KURTOSIS = 50.0


def chi_square(counts: Tensor, law: Law, seed: int) -> tuple[float, int, float, str]:
    """Pearson's one-sample test: statistic, degrees of freedom, p, where p comes from.

    Parameters
    ----------
    counts : Tensor
        float64 [V], draws of each token; those outside of the law's support are left out.
    law : Law
        What they should follow.
    seed : int
        Of the simulation: (1 + #{simulated >= observed}) / (1 + n) is exact at every size.
    """
    kept = law.probability > 0
    probability, observed = law.probability[kept], counts[kept]
    n = observed.sum()
    small = probability * n < _LEAST
    cells = torch.cat([probability[~small], probability[small].sum()[None]])
    seen = torch.cat([observed[~small], observed[small].sum()[None]])
    cells, seen = (cells, seen) if small.any() else (cells[:-1], seen[:-1])
    expected = cells * n
    statistic = float(((seen - expected) ** 2 / expected).sum()) if n > 0 else 0.0
    df = len(cells) - 1
    if df < 1 or n == 0:
        return statistic, df, 1.0, "one cell"
    if df < _FEW or bool((expected < _LEAST).any()):
        drawn = np.random.default_rng(seed).multinomial(
            int(n), (cells / cells.sum()).numpy(), size=_SIMULATED
        )
        above = ((drawn - expected.numpy()) ** 2 / expected.numpy()).sum(1) >= statistic - 1e-9
        return statistic, df, (1 + int(above.sum())) / (1 + _SIMULATED), "simulated"
    half = torch.tensor([df / 2, statistic / 2], dtype=torch.float64)
    return statistic, df, float(torch.special.gammaincc(half[0], half[1])), "chi-square"


def mean_z(values: Tensor, kurtosis: float) -> float | None:
    """Return √n · mean of values of mean 0 and variance 1, None where that is not near normal."""
    if len(values) < _TERMS_PER_KURTOSIS * kurtosis:
        return None
    return float(values.sum()) / math.sqrt(len(values))


def two_sided(z: float) -> float:
    """P(|N(0, 1)| >= |z|)."""
    return math.erfc(abs(z) / math.sqrt(2))


class Pairs:
    """Pairs of draws that should be independent: rows and tokens, int64 [n] each side."""

    def __init__(self, rows: tuple[Tensor, Tensor], tokens: tuple[Tensor, Tensor]) -> None:
        self.rows, self.tokens = rows, tokens

    def correlation(self, laws: list[Law]) -> tuple[Tensor, float]:
        """Return the products of the places of both sides, and their fourth moment."""
        place = torch.stack([law.place for law in laws])
        fourth = torch.tensor([law.place_kurtosis for law in laws], dtype=torch.float64)
        (a, b), (x, y) = self.rows, self.tokens
        spread = torch.isfinite(fourth[a]) & torch.isfinite(fourth[b])
        a, b, x, y = a[spread], b[spread], x[spread], y[spread]
        kurtosis = float((fourth[a] * fourth[b]).mean()) if len(a) else math.inf
        return place[a, x] * place[b, y], kurtosis


def pairs(row: Tensor, token: Tensor, seed: int) -> dict[str, Pairs]:
    """Pair the draws [C, B]: neighbours in a random order of each batch, and successive calls.

    No draw is in two pairs of one kind.
    """
    mixer = torch.Generator().manual_seed(seed)
    order = torch.rand(row.shape, generator=mixer).argsort(1)
    r, t = row.gather(1, order), token.gather(1, order)
    even = row.shape[1] // 2 * 2

    def sides(x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, 0:even:2].reshape(-1), x[:, 1:even:2].reshape(-1)

    def calls(x: Tensor) -> tuple[Tensor, Tensor]:
        return x[0::2].reshape(-1), x[1::2].reshape(-1)

    return {
        "rows of a batch": Pairs(sides(r), sides(t)),
        "successive calls": Pairs(calls(row), calls(token)),
    }
