"""Correlations of log prior and reward: over all strings, inside schemes, between schemes."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from aligndec.shared import at_a_time, at_least, plain_arguments, whole
from aligndec.tradeoff.checks import number, series
from aligndec.tradeoff.levels import fisher_interval, levels

__all__ = [
    "Correlation",
    "CorrelationIntervals",
    "Correlations",
    "correlation_intervals",
    "correlations",
]

Adjust = Literal["none", "per_token", "length"]


class Correlation(NamedTuple):
    """Pearson's and Spearman's coefficient (mean ranks on ties); NaN where a side is constant."""

    pearson: float
    spearman: float


class Correlations(NamedTuple):
    """The four levels of a correlation.

    Attributes
    ----------
    string : Correlation
        Over all rows, whatever their scheme.
    within : tuple of S Correlation
        Inside each scheme, labels ascending.
    between : Correlation
        Of the S centres, each scheme counted once; NaN for one scheme.
    pooled : Correlation
        Of the deviations from the scheme means.
    """

    string: Correlation
    within: tuple[Correlation, ...]
    between: Correlation
    pooled: Correlation


class CorrelationIntervals(NamedTuple):
    """Bootstrap intervals of `Correlations`; each float64 [2, 2], `within` [S, 2, 2].

    Rows: Pearson, Spearman; columns: lower, upper end. NaN where the coefficient is.
    """

    string: Tensor
    within: Tensor
    between: Tensor
    pooled: Tensor


def correlations(
    log_prior: Tensor,
    reward: Tensor,
    scheme: Tensor | None = None,
    *,
    length: Tensor | None = None,
    adjust: Adjust = "none",
) -> Correlations:
    """Correlate log prior and reward at every level.

    Corpora are means of strings, so inside one scheme their correlation is that of the strings,
    whatever the corpus size; what corpora of several schemes show on top is the correlation
    between the schemes. Hence the levels are kept apart.

    Parameters
    ----------
    log_prior, reward : Tensor
        Floating-point [N], N >= 2, finite: of strings, or means of corpora.
    scheme : Tensor, optional
        Integer [N]: label of the scheme of each row. None: all rows are one scheme.
    length : Tensor, optional
        [N], > 0: tokens of each string; needed by `adjust`.
    adjust : {"none", "per_token", "length"}
        "per_token" divides log prior by the length. "length" holds the length fixed: partial
        correlations, at each level with that level's own lengths (and ranks).

    Returns
    -------
    Correlations

    Notes
    -----
    Log prior is a sum over tokens, so that length alone moves it.
    """
    function = "correlations"
    x, y, labels = _rows(function, log_prior, reward, scheme)
    columns = _columns(function, x, y, length, adjust)
    found = levels(columns, labels, _schemes(labels))[0].tolist()
    first, *within, between, pooled = (Correlation(*pair) for pair in found)
    return Correlations(first, tuple(within), between, pooled)


@plain_arguments
def correlation_intervals(
    log_prior: Tensor,
    reward: Tensor,
    scheme: Tensor | None = None,
    *,
    length: Tensor | None = None,
    adjust: Adjust = "none",
    n_bootstrap: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> CorrelationIntervals:
    """Bootstrap intervals of `correlations`: rows are redrawn with replacement in their scheme.

    Parameters
    ----------
    log_prior, reward, scheme, length, adjust
        As in `correlations`. The schemes are taken as given: the interval of `between` is about
        the strings that the centres were computed from, not about other schemes.
    n_bootstrap : int
        Replicates, >= 1.
    level : float
        Coverage, in (0, 1).
    seed : int
        Seed of the replicates.

    Returns
    -------
    CorrelationIntervals
        Basic bootstrap intervals on Fisher's scale.
    """
    function = "correlation_intervals"
    x, y, labels = _rows(function, log_prior, reward, scheme)
    at_least(function, 1, n_bootstrap=n_bootstrap)
    if number(function, "level", level, 0.0) >= 1.0:
        raise ValueError(f"{function}: level must be in (0, 1), got {level}")
    columns = _columns(function, x, y, length, adjust)
    generator = torch.Generator().manual_seed(whole(function, "seed", seed))
    schemes, rows = _schemes(labels), len(labels)
    order = labels.argsort(stable=True)
    counts = labels.bincount()
    start, size = (v.repeat_interleave(counts) for v in (counts.cumsum(0) - counts, counts))
    seen = []
    for some in at_a_time(n_bootstrap, rows):
        uniform = torch.rand(some, rows, dtype=torch.float64, generator=generator)
        redrawn = order[start + (uniform.to(size.device) * size).long()].flatten()
        seen.append(levels(columns[:, redrawn], labels[redrawn], schemes, some))
    ends = fisher_interval(levels(columns, labels, schemes)[0], torch.cat(seen), level)
    return CorrelationIntervals(ends[0], ends[1:-2], ends[-2], ends[-1])


def _rows(
    function: str, log_prior: Tensor, reward: Tensor, scheme: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Check the columns; labels become 0 … S − 1 in ascending order of the given ones."""
    x = series(function, "log_prior", log_prior, (-1,))
    if len(x) < 2:
        raise ValueError(f"{function}: log_prior must be [N] with N >= 2, got N = {len(x)}")
    y = series(function, "reward", reward, (len(x),))
    if scheme is None:
        return x, y, torch.zeros(len(x), dtype=torch.int64, device=x.device)
    labels = torch.as_tensor(scheme)
    if labels.is_floating_point() or labels.shape != x.shape:
        raise ValueError(
            f"{function}: scheme must be an integer Tensor [N] = [{len(x)}], got {labels.dtype} "
            f"{list(labels.shape)}"
        )
    return x, y, torch.unique(labels, return_inverse=True)[1]


def _schemes(labels: Tensor) -> int:
    return int(labels.max()) + 1


def _columns(function: str, x: Tensor, y: Tensor, length: Tensor | None, adjust: str) -> Tensor:
    """Stack what is correlated and, as a third row, what is held fixed: float64 [2 | 3, N]."""
    if adjust not in ("none", "per_token", "length"):
        raise ValueError(
            f'{function}: adjust must be "none", "per_token" or "length", got {adjust!r}'
        )
    if adjust == "none":
        return torch.stack([x, y])
    if length is None:
        raise ValueError(f"{function}: length must be [N] for adjust {adjust!r}, got None")
    tokens = series(function, "length", length, x.shape, low=0.0)
    return torch.stack([x / tokens, y] if adjust == "per_token" else [x, y, tokens])
