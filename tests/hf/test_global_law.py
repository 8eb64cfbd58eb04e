"""Rejection on transformers' caches: rows that join a running batch are the rows drawn apart."""

import pytest
import torch

import aligndec as ad
from aligndec.models import HFCausalLM

transformers = pytest.importorskip("transformers")

PROMPTS = [[5, 9, 3, 7], [11], [4, 8]]


def tiny(kind: str) -> HFCausalLM:
    torch.manual_seed(3)
    if kind == "Llama":
        config = transformers.LlamaConfig(
            vocab_size=40,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=2,
            num_attention_heads=4,
            eos_token_id=2,
            pad_token_id=0,
        )
    else:
        config = transformers.GPT2Config(
            vocab_size=40, n_embd=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=2
        )
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    # An untrained model is too flat to cut; GPT-2 shares these weights with its input.
    model.get_output_embeddings().weight.data *= 12 if kind == "Llama" else 4
    return HFCausalLM(model)


@pytest.mark.parametrize("kind", ["Llama", "GPT2"])
def test_joined_rows_are_the_rows_of_generate(kind: str) -> None:
    lm, adaptor = tiny(kind), ad.Adaptor(top_p=0.8)
    joins = []
    inner = lm.join
    lm.join = lambda *states: joins.append(len(states)) or inner(*states)
    made = ad.GlobalSampler(lm, adaptor, method="rejection", max_new_tokens=6, batch_size=8)
    out = made.sample(PROMPTS, n_samples=6, seed=2)
    assert len(joins) > 3
    draws = int(out.generation.draw.max()) + 1
    local = ad.generate(
        lm, PROMPTS, adaptor=adaptor, max_new_tokens=6, seed=2, num_return_sequences=draws
    )
    rows = local.select(out.generation.prompt_index * draws + out.generation.draw)
    assert rows.completions() == out.generation.completions()
    torch.testing.assert_close(rows.log_z, out.generation.log_z, atol=1e-4, rtol=0)
    del lm.join  # without it a batch runs down before the next one starts
    apart = made.sample(PROMPTS, n_samples=6, seed=2)
    assert apart.generation.completions() == out.generation.completions()
    assert torch.equal(apart.accepted, out.accepted)
