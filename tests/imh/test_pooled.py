"""Chains over stored pools of real strings: per prompt they give the law, pooled they tilt it."""

import pytest
import torch
from support.oracle import chi_square_p
from support.whole_strings import LEVEL, MODELS, sampler
from torch import Tensor

import aligndec as ad
from aligndec import imh

PROMPTS, STRINGS, CHAINS, STEPS = [[1], [3]], 300, 20_000, 120


def pool() -> tuple[Tensor, Tensor]:
    """Log-weights [2, STRINGS] of local draws after two prompts, and their normalisers' shares."""
    adaptor = ad.Adaptor(temperature=0.7, top_p=0.8)
    out = sampler(MODELS["chain"], adaptor).sample(PROMPTS, n_samples=STRINGS, seed=4)
    return out.log_weight, out.diagnostics.log_z.softmax(0)


def last_states(log_weight: Tensor, size: int, accept_all: bool = False) -> Tensor:
    """Counts of the last states of CHAINS chains over one pool."""
    weight = torch.zeros_like(log_weight) if accept_all else log_weight
    one_hot = torch.eye(size)
    out = imh.resample(weight, one_hot, n_chains=CHAINS, n_steps=STEPS, burn_in=STEPS - 1, seed=6)
    return out.mean.sum(0)


@pytest.mark.statistical
def test_per_prompt_and_pooled(native: None) -> None:
    log_weight, shares = pool()
    for row in log_weight:
        counts = last_states(row, STRINGS)
        assert chi_square_p(counts, row.softmax(0)) > LEVEL
        assert chi_square_p(last_states(row, STRINGS, accept_all=True), row.softmax(0)) < LEVEL
    flat = log_weight.reshape(-1)
    counts = last_states(flat, 2 * STRINGS)
    assert chi_square_p(counts, flat.softmax(0)) > LEVEL
    # What one wants per prompt is not what the pooled chain does: the prompts are tilted.
    per_prompt = log_weight.softmax(1).reshape(-1) / 2
    assert chi_square_p(counts, per_prompt) < LEVEL
    tilted = counts.view(2, -1).sum(1) / CHAINS
    assert float((tilted - shares).abs().max()) < 0.02
