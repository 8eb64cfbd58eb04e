"""The toy experiment: 1 000 objects, a prior and an aligned law, and corpora drawn from it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from aligndec.shared import at_least, plain_arguments, whole
from aligndec.tradeoff.checks import number
from aligndec.tradeoff.entropy import renyi_entropy, varentropy

__all__ = ["Toy", "ToyCorpora", "random_state", "toy", "toy_corpora"]


class Toy(NamedTuple):
    """A prior and an aligned law over K objects; float64.

    Attributes
    ----------
    prior, aligned : [K]
        Probabilities p and p₊.
    reward : [K]
        ``ln(p₊ / p)``: the secret reward at β = 1.
    entropy, varentropy : []
        Mean and variance of the information −ln p₊ under p₊, nats and nats squared.
    """

    prior: Tensor
    aligned: Tensor
    reward: Tensor
    entropy: Tensor
    varentropy: Tensor


class ToyCorpora(NamedTuple):
    """Means over corpora drawn from the aligned law; float64 [n_corpora]."""

    log_prior: Tensor
    log_aligned: Tensor
    reward: Tensor


@plain_arguments
def toy(
    seed: int = 42,
    *,
    size: int = 1000,
    concentration: float = 0.1,
    power: float = 42.0,
    noise: float = 0.42,
) -> Toy:
    """Draw a pair of laws whose rewards and log-probabilities trade off.

    ``p₊ ~ Dirichlet(c, …, c)``, then ``p = softmax(p₊^(1/power) + δ)`` with ``δ`` uniform on
    [−noise, noise].

    Parameters
    ----------
    seed : int
        Of numpy's RandomState, in [0, 2^32); the Dirichlet is drawn first, then the uniforms.
    size : int
        Objects K, >= 2.
    concentration : float
        c, > 0.
    power, noise : float
        > 0.

    Returns
    -------
    Toy
        The defaults are those of the published experiment.

    Raises
    ------
    ValueError
        Some probability underflowed to 0 (a concentration near 0): its reward would be −inf.

    References
    ----------
    arXiv 2406.10203, Section 4.
    """
    at_least("toy", 2, size=size)
    for name, value in (("concentration", concentration), ("power", power), ("noise", noise)):
        number("toy", name, value, 0.0)
    random = random_state("toy", "seed", seed)
    aligned = random.dirichlet(np.full(size, concentration))
    if not aligned.all():
        raise ValueError(
            "toy: concentration must be large enough to leave every probability > 0, got "
            f"{concentration}"
        )
    score = aligned ** (1.0 / power) + random.uniform(-noise, noise, size)
    weight = np.exp(score - score.max())
    prior, law = torch.from_numpy(weight / weight.sum()), torch.from_numpy(aligned)
    log_law = law.log()
    reward = log_law - prior.log()
    return Toy(prior, law, reward, renyi_entropy(log_law, 1.0), varentropy(log_law))


@plain_arguments
def toy_corpora(
    laws: Toy, *, n_corpora: int = 1000, corpus_size: int = 100_000, first_seed: int = 0
) -> ToyCorpora:
    """Draw corpora of independent objects from the aligned law; corpus i has its own seed.

    Parameters
    ----------
    laws : Toy
        What `toy` returned.
    n_corpora, corpus_size : int
        >= 1.
    first_seed : int
        Corpus i is what numpy's RandomState(first_seed + i).choice draws; seeds in [0, 2^32).

    Returns
    -------
    ToyCorpora
        With the defaults, the corpora of the published experiment.
    """
    at_least("toy_corpora", 1, n_corpora=n_corpora, corpus_size=corpus_size)
    random_state("toy_corpora", "first_seed", first_seed)
    random_state("toy_corpora", "first_seed + n_corpora - 1", first_seed + n_corpora - 1)
    cumulative = laws.aligned.numpy().cumsum()
    cumulative /= cumulative[-1]
    log_aligned = laws.aligned.log()
    columns = torch.stack([laws.prior.log(), log_aligned, laws.reward], 1)
    means = torch.empty(n_corpora, 3, dtype=torch.float64)
    for i in range(n_corpora):
        uniform = np.sort(np.random.RandomState(first_seed + i).random_sample(corpus_size))
        # The inverse-CDF draws of `choice`, counted: how many uniforms lie below each step.
        counts = np.diff(uniform.searchsorted(cumulative), prepend=0)
        means[i] = torch.from_numpy(counts).double() @ columns / corpus_size
    return ToyCorpora(*means.unbind(1))


def random_state(function: str, name: str, seed: int) -> np.random.RandomState:
    """Return numpy's RandomState of a seed in [0, 2^32)."""
    if not 0 <= whole(function, name, seed) < 2**32:
        raise ValueError(f"{function}: {name} must be in [0, 2^32), got {seed}")
    return np.random.RandomState(seed)
