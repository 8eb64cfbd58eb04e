"""What a study does with strings: the implied reward, corpora of them, flattened redraws."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from aligndec.shared import at_a_time, at_least, plain_arguments, whole
from aligndec.tradeoff.checks import number, series
from aligndec.tradeoff.toy import random_state

__all__ = ["banded_resample", "bootstrap_corpora", "secret_reward"]


def secret_reward(log_aligned: Tensor, log_prior: Tensor, beta: float = 1.0) -> Tensor:
    """Reward that an aligned law implies: ``β (log p₊ − log p)``, up to the constant ``β log Z``.

    Parameters
    ----------
    log_aligned, log_prior : Tensor
        Floating-point [...], broadcast: log-probabilities of the same strings after the same
        prompts. `log_aligned` may be −inf, `log_prior` is finite: an aligned law has no strings
        that its prior lacks.
    beta : float
        Strength of the KL penalty, > 0.

    Returns
    -------
    float64 Tensor [...]
        Its mean under p₊ is ``β KL(p₊ ‖ p) >= 0``, which tells a wrong sign.

    References
    ----------
    arXiv 2406.10203, Eq. 4; Rafailov et al. 2023.
    """
    aligned = series("secret_reward", "log_aligned", log_aligned, infinite=True)
    if bool((aligned == math.inf).any()):
        raise ValueError("secret_reward: log_aligned must be < inf, got inf")
    prior = series("secret_reward", "log_prior", log_prior)
    return number("secret_reward", "beta", beta, 0.0) * (aligned - prior)


@plain_arguments
def bootstrap_corpora(values: Tensor, *, n_corpora: int, corpus_size: int, seed: int = 0) -> Tensor:
    """Means over corpora drawn with replacement from N strings, by counts instead of indices.

    How often each string comes is one multinomial draw, so a corpus costs O(N) whatever its size.

    Parameters
    ----------
    values : Tensor
        Floating-point [N, S], finite: S numbers of every string.
    n_corpora, corpus_size : int
        >= 1.
    seed : int
        Taken mod 2^64. Corpus i does not depend on `n_corpora`.

    Returns
    -------
    float64 Tensor [n_corpora, S]
    """
    function = "bootstrap_corpora"
    table = series(function, "values", values, (-1, -1))
    if len(table) == 0:
        raise ValueError(f"{function}: values must be [N, S] with N >= 1, got 0")
    at_least(function, 1, n_corpora=n_corpora, corpus_size=corpus_size)
    key = whole(function, "seed", seed) % 2**64
    # The stream of a RandomState is frozen, that of numpy's newer generators is not.
    random = np.random.RandomState([key & 0xFFFFFFFF, key >> 32])
    uniform = np.full(len(table), 1.0 / len(table))
    chunks = []
    for some in at_a_time(n_corpora, len(table)):
        counts = torch.from_numpy(random.multinomial(corpus_size, uniform, some))
        chunks.append(counts.to(table) @ table / corpus_size)
    return torch.cat(chunks)


@plain_arguments
def banded_resample(
    values: Tensor, *, n_bands: int = 10, per_band: int = 100, seed: int = 42
) -> Tensor:
    """Redraw rows so that every band of their range is equally represented.

    The range of the values is cut into bands of equal width; from each band that has rows,
    `per_band` are drawn with replacement. A correlation of what comes out is one of a flattened
    distribution, and larger than that of the rows themselves.

    Parameters
    ----------
    values : Tensor
        Floating-point [N], N >= 1, finite.
    n_bands, per_band : int
        >= 1.
    seed : int
        Of numpy's RandomState, in [0, 2^32).

    Returns
    -------
    int64 Tensor
        Indices into `values`, `per_band` for each occupied band, bands ascending.

    References
    ----------
    The stratified resampling ("causal bootstrapping") of arXiv 2406.10203, Section 4.
    """
    function = "banded_resample"
    x = series(function, "values", values, (-1,)).cpu().numpy()
    if len(x) == 0:
        raise ValueError(f"{function}: values must be [N] with N >= 1, got 0")
    at_least(function, 1, n_bands=n_bands, per_band=per_band)
    random = random_state(function, "seed", seed)
    # A band holds its upper edge; the lowest value belongs to the first.
    band = np.linspace(x.min(), x.max(), n_bands + 1)[1:-1].searchsorted(x)
    rows = [np.flatnonzero(band == b) for b in range(n_bands)]
    drawn = [r[random.choice(len(r), per_band)] for r in rows if len(r) > 0]
    return torch.from_numpy(np.concatenate(drawn))
