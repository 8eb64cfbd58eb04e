"""The exact law of a row of logits under an adaptor, and the numbers of it that tests need."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aligndec.step import Adaptor, kept_mask, score

__all__ = ["Law", "law_of"]

# Tokens scored in one call: the row is read in place, so this bounds the outputs alone.
_CHUNK = 8192


@dataclass(frozen=True)
class Law:
    """A law q over V tokens; all float64 [V].

    `probability` sums to 1; `surprise` is log p of the base law, centred and scaled under q;
    `place` the mid-point Σ_{v<y} q(v) + q(y)/2 − 1/2 of a token's interval, scaled to variance 1.
    `surprise_kurtosis`, `place_kurtosis` are their fourth moments under q, inf where q is a point.
    """

    probability: Tensor
    surprise: Tensor
    place: Tensor
    surprise_kurtosis: float
    place_kurtosis: float


def law_of(logits: Tensor, adaptor: Adaptor) -> Law:
    """Return the law of logits [V] under an adaptor, by `score` of every kept token.

    With xtc it is the mixture of both coins.
    """
    coin = None if adaptor.xtc is None else "marginal"
    everything = Adaptor(temperature=adaptor.temperature) if coin else adaptor
    vocab = logits.shape[0]
    kept = kept_mask(logits, everything).nonzero()[:, 0] if coin is None else torch.arange(vocab)
    probability = torch.zeros(vocab, dtype=torch.float64)
    log_p = torch.zeros(vocab, dtype=torch.float64)
    for ids in torch.split(kept, _CHUNK):
        books = score(logits, ids, adaptor, xtc_coin=coin)  # type: ignore[arg-type]
        probability[ids], log_p[ids] = books.log_q.exp(), books.log_p
    probability /= probability.sum()
    surprise, first = _standard(log_p, probability)
    place, second = _standard(probability.cumsum(0) - probability / 2, probability)
    return Law(probability, surprise, place, first, second)


def _standard(value: Tensor, probability: Tensor) -> tuple[Tensor, float]:
    """Return the value with mean 0 and variance 1 under a law, and its fourth moment."""
    value = torch.where(probability > 0, value, 0.0)
    centred = value - (probability * value).sum()
    variance = float((probability * centred**2).sum())
    if variance < 1e-12:
        return torch.zeros_like(value), float("inf")
    scaled = torch.where(probability > 0, centred / variance**0.5, 0.0)
    return scaled, float((probability * scaled**4).sum())
