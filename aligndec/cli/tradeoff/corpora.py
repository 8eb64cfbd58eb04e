"""Corpora of a scheme: the strings as they were drawn, or resampled to the law of whole strings.

All laws keep the prompts as they are: each prompt gives the same number of strings to a corpus, and
its own chain does the resampling. One chain over several prompts would tilt their shares.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aligndec import imh
from aligndec.tradeoff import bootstrap_corpora

__all__ = ["LAWS", "VALUES", "Pool", "burn_in", "corpora"]

LAWS = {
    "local": "the adaptor as it samples",
    "global": "the adaptor normalised over whole strings",
    "aligned": "the same adaptor on the aligned law p·exp(r/β)",
}

VALUES = ("log_prior", "reward", "length")
"""What is averaged over a corpus."""

_FORGOTTEN = 1e-6


@dataclass(frozen=True)
class Pool:
    """Strings of one scheme: float64 [P, R] (`length` int64), R draws for each of P prompts."""

    log_p: Tensor
    log_z: Tensor
    length: Tensor
    reward: Tensor

    def values(self) -> Tensor:
        """Columns `VALUES` of every string, float64 [P, R, S]."""
        return torch.stack([self.log_p, self.reward, self.length.double()], -1)

    def log_weight(self, law: str, temperature: float, beta: float) -> Tensor:
        """Return ln target − ln local law, float64 [P, R].

        "global" is the power law on the kept sets, `Σ log_z`. The adaptor of the aligned law scales
        all of it, its likelihood `exp(r/β)` too, with the sets of the prior: at temperature 1
        without a cut that is p·exp(r/β) itself.
        """
        if law == "local":
            return torch.zeros_like(self.log_p)
        tilt = self.reward / (beta * temperature) if law == "aligned" else 0.0
        return self.log_z + tilt


def burn_in(draws: int) -> int:
    """Count the steps after which no start matters: a pool of R entries has w* <= R."""
    return 0 if draws == 1 else math.ceil(math.log(_FORGOTTEN) / math.log1p(-1.0 / draws))


def corpora(
    pool: Pool,
    law: str,
    *,
    temperature: float,
    beta: float,
    n_corpora: int,
    corpus_size: int,
    seed: int,
) -> dict[str, Any]:
    """Draw means of `VALUES` over corpora and the acceptance of their chains: arrays [n_corpora].

    Parameters
    ----------
    pool : Pool
        The strings of one scheme.
    law : str
        One of `LAWS`.
    temperature, beta : float
        Of the scheme, and of the aligned law.
    n_corpora, corpus_size : int
        Each corpus takes corpus_size // P strings per prompt.
    seed : int
        Of the resampling.
    """
    values = pool.values()
    prompts, draws = pool.log_p.shape
    each = corpus_size // prompts
    if law == "local":
        # One seed per prompt, so that prompts are independent of each other.
        means = torch.stack(
            [
                bootstrap_corpora(of_prompt, n_corpora=n_corpora, corpus_size=each, seed=seed + i)
                for i, of_prompt in enumerate(values)
            ]
        )
        accepted = torch.ones(prompts, n_corpora, dtype=torch.float64)
    else:
        first = burn_in(draws)
        means, accepted = imh.resample(
            pool.log_weight(law, temperature, beta),
            values,
            n_chains=n_corpora,
            n_steps=first + each,
            burn_in=first,
            seed=seed,
        )
    columns = [*means.mean(0).unbind(1), accepted.mean(0)]
    return {name: x.numpy() for name, x in zip((*VALUES, "acceptance"), columns, strict=True)}
