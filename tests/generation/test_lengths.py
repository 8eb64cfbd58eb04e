"""Models with few positions: refused before any work, with both numbers."""

import pytest
import torch

import aligndec as ad
from aligndec.models import HFCausalLM
from aligndec.transfer_q import TransferQ

transformers = pytest.importorskip("transformers")


def lengths(p, c):
    return [float(len(x)) for x in c]


def gpt2():
    config = transformers.GPT2Config(
        vocab_size=61, n_embd=32, n_layer=1, n_head=4, n_positions=16, eos_token_id=2
    )
    return transformers.GPT2LMHeadModel(config).eval()


def opt():
    config = transformers.OPTConfig(
        vocab_size=61,
        hidden_size=32,
        ffn_dim=48,
        num_hidden_layers=1,
        num_attention_heads=4,
        max_position_embeddings=16,
        word_embed_proj_dim=32,
    )
    return transformers.OPTForCausalLM(config).eval()


def gptj():
    config = transformers.GPTJConfig(
        vocab_size=61, n_embd=32, n_layer=1, n_head=4, n_positions=16, rotary_dim=4, eos_token_id=2
    )
    return transformers.GPTJForCausalLM(config).eval()


@pytest.mark.parametrize("kind", [gpt2, opt, gptj])
def test_what_does_not_fit_is_refused_with_both_numbers(kind):
    model = kind()
    assert HFCausalLM(model).max_positions == 16
    prompts = [[3] * 10, [3]]
    ends = {"eos_token_id": ()}
    assert ad.generate(model, prompts, max_new_tokens=7, **ends).tokens.shape[1] == 7
    with pytest.raises(ValueError, match=r"max_new_tokens must be <= 7 .*16 pos.* 10 tok.*got 8"):
        ad.generate(model, prompts, max_new_tokens=8, **ends)
    with pytest.raises(ValueError, match=r"input_ids must have <= 16 tokens .* got 17"):
        ad.generate(model, [[3] * 17], max_new_tokens=1)
    assert torch.isfinite(ad.score_strings(model, prompts, [[4] * 7] * 2).log_p).all()
    with pytest.raises(ValueError, match=r"length of completions\[0\] must be <= 7"):
        ad.score_strings(model, prompts, [[4] * 8] * 2)
    sampler = ad.GlobalSampler(model, max_new_tokens=8)
    with pytest.raises(ValueError, match="max_new_tokens must be <= 7"):
        sampler.sample(prompts, n_samples=2)
    method = TransferQ(model, lengths, k=2, rollout_tokens=3)
    with pytest.raises(ValueError, match=r"max_new_tokens \+ rollout_tokens must be <= 7"):
        method.generate(prompts, max_new_tokens=5)


def test_a_reference_with_fewer_positions_is_asked_too():
    long = transformers.LlamaForCausalLM(
        transformers.LlamaConfig(
            vocab_size=61,
            hidden_size=32,
            intermediate_size=48,
            num_hidden_layers=1,
            num_attention_heads=4,
        )
    ).eval()
    assert HFCausalLM(long).max_positions is None
    with pytest.raises(ValueError, match="max_new_tokens must be <= 16"):
        ad.generate(long, [[3]], max_new_tokens=20, reference=gpt2())


def test_custom_generate_refuses_what_it_cannot_honour():
    model = gpt2()
    ids = torch.tensor([[3, 4]])
    greedy = ad.custom_generate(ad.Adaptor(temperature=0))
    same = dict(max_new_tokens=3, do_sample=False, eos_token_id=None)
    plain = model.generate(ids, **same)
    given = model.generate(ids, custom_generate=greedy, **same)
    assert torch.equal(given, plain)
    with pytest.raises(ValueError, match=r"model_kwargs must be .* got .*inputs_embeds"):
        model.generate(ids, inputs_embeds=torch.zeros(1, 2, 32), custom_generate=greedy, **same)
    with pytest.raises(ValueError, match=r"model_kwargs must be .* got .*token_type_ids"):
        model.generate(ids, token_type_ids=ids, custom_generate=greedy, **same)


def test_tokens_that_are_none_of_the_models_are_no_tokens():
    model = gpt2()
    ids = torch.tensor([[3, 4]])
    same = dict(max_new_tokens=3, do_sample=False, pad_token_id=-1, eos_token_id=[2, 64])
    out = model.generate(ids, custom_generate=ad.custom_generate(ad.Adaptor(temperature=0)), **same)
    assert torch.equal(out, model.generate(ids, **same))
