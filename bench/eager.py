"""What a user replaces: transformers' processors, softmax, multinomial, gathers, running sums.

Vectorised over the rows. Only what cannot be had from cheaper numbers is computed: at temperature
1 the kept mass follows from the two log-probabilities of the token, and so does the divergence.
"""

from collections.abc import Callable

import torch
import transformers
from torch import Tensor

from aligndec.adaptors import Adaptor

__all__ = ["EagerChain", "processors"]

_CLASSES = {
    "top_k": transformers.TopKLogitsWarper,
    "top_p": transformers.TopPLogitsWarper,
    "min_p": transformers.MinPLogitsWarper,
    "typical_p": transformers.TypicalLogitsWarper,
    "epsilon_cutoff": transformers.EpsilonLogitsWarper,
    "eta_cutoff": transformers.EtaLogitsWarper,
}


class _TopNSigma:
    """transformers has none; the rule in the two passes that a user would write."""

    def __init__(self, n: float) -> None:
        self.n = n

    def __call__(self, _: object, scores: Tensor) -> Tensor:
        least = scores.amax(-1, keepdim=True) - self.n * scores.std(-1, correction=0, keepdim=True)
        return scores.masked_fill(scores < least, -torch.inf)


class _TopA:
    """transformers has none."""

    def __init__(self, a: float) -> None:
        self.a = a

    def __call__(self, _: object, scores: Tensor) -> Tensor:
        p = scores.softmax(-1)
        return scores.masked_fill(p < self.a * p.amax(-1, keepdim=True).square(), -torch.inf)


def processors(fields: dict[str, float | int], temperature: float = 1.0) -> list[Callable]:
    """The processors in the order of transformers' `generate`."""
    chain = [] if temperature == 1.0 else [transformers.TemperatureLogitsWarper(temperature)]
    chain += [warper(fields[name]) for name, warper in _CLASSES.items() if name in fields]
    if "top_n_sigma" in fields:
        chain.append(_TopNSigma(fields["top_n_sigma"]))
    if "top_a" in fields:
        chain.append(_TopA(fields["top_a"]))
    return chain


class EagerChain:
    """One decoding step at temperature 1; `sums` float64 [3, B]: log p, log q, log kept mass."""

    def __init__(self, fields: dict[str, float | int], batch: int, device: str = "cpu") -> None:
        adaptor = Adaptor(**fields)
        if adaptor.temperature != 1.0:
            raise ValueError(f"EagerChain: temperature must be 1, got {adaptor.temperature}")
        self.processors = processors(fields)
        self.sums = torch.zeros(3, batch, dtype=torch.float64, device=device)

    def __call__(self, logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        scores = logits
        for processor in self.processors:
            scores = processor(None, scores)
        q = torch.softmax(scores, -1)
        token = torch.multinomial(q, 1)
        log_q = q.gather(1, token).log()[:, 0]
        log_p = torch.log_softmax(logits, -1).gather(1, token)[:, 0]
        self.sums += torch.stack((log_p, log_q, log_p - log_q))
        return token[:, 0], log_p, log_q
