"""The trade-off between probability and reward among strings of an aligned language model.

Strings of ``p₊ ∝ p·exp(r/β)`` satisfy ``log p₊ = log p + r/β − log Z``. In a corpus whose mean
log p₊ is near −H, mean log p and mean reward therefore lie near a line of slope −β; sampling
adaptors choose where on it. Everything here stands on [N] and [N, S]; `aligndec tradeoff` runs a
whole study on a model.

References
----------
arXiv 2406.10203.
"""

from aligndec.tradeoff.checks import series
from aligndec.tradeoff.corpora import banded_resample, bootstrap_corpora, secret_reward
from aligndec.tradeoff.correlations import (
    Correlation,
    CorrelationIntervals,
    Correlations,
    correlation_intervals,
    correlations,
)
from aligndec.tradeoff.entropy import renyi_entropy, varentropy
from aligndec.tradeoff.levels import fisher_interval
from aligndec.tradeoff.toy import Toy, ToyCorpora, toy, toy_corpora
from aligndec.tradeoff.typical import (
    TypicalCorrelation,
    chebyshev_bound,
    chernoff_bound,
    typical_correlation,
    typical_mask,
)

__all__ = [
    "Correlation",
    "CorrelationIntervals",
    "Correlations",
    "Toy",
    "ToyCorpora",
    "TypicalCorrelation",
    "banded_resample",
    "bootstrap_corpora",
    "chebyshev_bound",
    "chernoff_bound",
    "correlation_intervals",
    "correlations",
    "fisher_interval",
    "renyi_entropy",
    "secret_reward",
    "series",
    "toy",
    "toy_corpora",
    "typical_correlation",
    "typical_mask",
    "varentropy",
]
