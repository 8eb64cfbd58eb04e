"""Models whose strings can be listed, adaptors, and the laws of whole strings under them."""

import math

import pytest
import torch
from support.oracle import chi_square_p
from torch import Tensor

import aligndec as ad
from aligndec.testing import TableLM, enumerate_strings

__all__ = ["ADAPTORS", "LEVEL", "MODELS", "PROMPT", "T", "enumerated", "p_value", "sampler"]

LEVEL = 1e-6
T = 3
MODELS = {
    "chain": TableLM.random(5, order=1, eos_token_id=0, scale=1.6, seed=2),
    "memoryless": TableLM.random(6, order=0, eos_token_id=(1, 4), scale=1.2, seed=3),
    "two back": TableLM.random(5, order=2, eos_token_id=2, scale=0.8, seed=4),
}
ADAPTORS = [
    ad.Adaptor(temperature=0.7),
    ad.Adaptor(top_k=2),
    ad.Adaptor(top_p=0.7),
    ad.Adaptor(min_p=0.25),
    ad.Adaptor(typical_p=0.6),
    ad.Adaptor(temperature=0.8, eta_cutoff=0.3),
    ad.Adaptor(temperature=1.4, top_p=0.8),
    ad.Adaptor(temperature=0.6, top_k=3, cut_on="base"),
]
PROMPT = [1, 3]


def enumerated(lm: TableLM, adaptor: ad.Adaptor, target: str) -> tuple[list[list[int]], Tensor]:
    """Strings and their law under a target, from the definition: kept sets and plain softmax."""
    logits = lm.table.double()
    law = {
        "power": logits.log_softmax(1) / adaptor.temperature,
        "kept_mass": (logits / adaptor.temperature).log_softmax(1),
        "base": logits.log_softmax(1),
    }[target].masked_fill(~ad.reference.kept_mask(lm.table, adaptor), -math.inf)
    strings = enumerate_strings(lm, PROMPT, T).completions()
    total = torch.zeros(len(strings), dtype=torch.float64)
    for i, string in enumerate(strings):
        for t, token in enumerate(string):
            context = [*PROMPT, *string[:t]][len(PROMPT) + t - lm.order :]
            row = sum(c * lm.vocab_size**k for k, c in enumerate(reversed(context)))
            total[i] += law[row, token]
    return strings, total.softmax(0)


def p_value(samples: list[list[int]], strings: list[list[int]], law: Tensor) -> float:
    """Chi-square of independent samples against a law; 0 outside of its support."""
    number = {tuple(string): i for i, string in enumerate(strings)}
    drawn = torch.tensor([number[tuple(s)] for s in samples])
    return chi_square_p(torch.bincount(drawn, minlength=len(law)), law)


def sampler(lm: TableLM, adaptor: ad.Adaptor, **kwargs: object) -> ad.GlobalSampler:
    kwargs = {"max_new_tokens": T, **kwargs}
    if adaptor.temperature > 1 and kwargs.get("target", "power") == "power":
        with pytest.warns(UserWarning, match="depends on max_new_tokens"):
            return ad.GlobalSampler(lm, adaptor, **kwargs)
    return ad.GlobalSampler(lm, adaptor, **kwargs)
