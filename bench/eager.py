"""What a user replaces: transformers' processors, softmax, multinomial, gathers, running sums.

Vectorised over the rows. Only what cannot be had from cheaper numbers is computed: at temperature
1 the kept mass follows from the two log-probabilities of the token, and so does the divergence.
"""

from collections.abc import Callable

import torch
import transformers
from torch import Tensor

from aligndec.step.adaptors import Adaptor

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


class _PLess:
    """transformers has none."""

    def __init__(self, order: float) -> None:
        self.order = order

    def __call__(self, _: object, scores: Tensor) -> Tensor:
        p = scores.softmax(-1)
        least = p.pow(self.order).sum(-1, keepdim=True).pow(1 / (self.order - 1))
        return scores.masked_fill(p < least.clamp(max=p.amax(-1, keepdim=True)), -torch.inf)


class _TopH:
    """transformers' own looks at the 100 largest logits only; this is its rule on all of them."""

    def __init__(self, share: float) -> None:
        self.share = share

    def __call__(self, _: object, scores: Tensor) -> Tensor:
        ordered, index = scores.sort(-1, descending=True)
        log_p = ordered.log_softmax(-1)
        part = (-log_p.exp() * log_p).nan_to_num(0.0).cumsum(-1)
        drop = part > self.share * part[..., -1:]
        drop[..., 0] = False
        return scores.masked_fill(torch.zeros_like(drop).scatter(-1, index, drop), -torch.inf)


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
    for name, rule in (("p_less", _PLess), ("top_h", _TopH), ("top_a", _TopA)):
        if name in fields:
            chain.append(rule(fields[name]))
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
