"""Continuous batching over transformers' caches, which rows join and leave."""

import pytest
import torch
from support.tiny_models import tiny_or_skip

import aligndec as ad
from aligndec.generation import generate_refilled
from aligndec.models import HFCausalLM

PROMPTS = [[5, 9, 11], [8] * 9, [7, 3], [12, 30, 41, 2, 9, 17], [4]]
RUN = dict(adaptor=ad.Adaptor(top_p=0.9), max_new_tokens=12, seed=2, num_return_sequences=5)


@pytest.mark.parametrize("kind", ["Llama", "GPT2", "Mistral", "Mamba"])
def test_the_strings_of_generate(kind):
    lm = HFCausalLM(tiny_or_skip(kind))
    lm.eos_token_id = tuple(range(0, lm.vocab_size, 8))  # strings of many lengths
    expected = ad.generate(lm, PROMPTS, **RUN)
    assert len(set(expected.length.tolist())) >= 5
    for slots in (3, 8):
        found = generate_refilled(lm, PROMPTS, slots=slots, **RUN)
        assert torch.equal(found.tokens, expected.tokens)
        for name in ("log_p", "log_q", "log_kept", "kl"):
            torch.testing.assert_close(
                getattr(found, name), getattr(expected, name), rtol=1e-4, atol=1e-4
            )
