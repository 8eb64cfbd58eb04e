"""generate on transformers models: cache, padding, and transformers' own entry point."""

import warnings
from importlib import import_module

import pytest
import torch

import aligndec as ad

transformers = pytest.importorskip("transformers")

from support.tiny_models import KINDS, V, tiny, tiny_or_skip  # noqa: E402

PROMPTS = [[1, 5, 9, 13, 4, 7], [1, 8], [1, 3, 3, 3]]
GREEDY = ad.Adaptor(temperature=0)


def padded():
    width = max(map(len, PROMPTS))
    ids = torch.tensor([[0] * (width - len(p)) + p for p in PROMPTS])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in PROMPTS])
    return ids, mask


def sharp(kind, seed=0):
    """A tiny model whose logits are far enough apart for greedy decoding to be stable."""
    model = tiny_or_skip(kind, seed)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(20)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_greedy_is_greedy_without_a_cache(kind):
    model = sharp(kind)
    out = ad.generate(model, PROMPTS, adaptor=GREEDY, max_new_tokens=8, eos_token_id=())
    for prompt, completion, log_p in zip(PROMPTS, out.completions(), out.log_p, strict=True):
        ids, total = torch.tensor([prompt]), 0.0
        for token in completion:
            with torch.no_grad():
                law = model(ids).logits[0, -1].double().log_softmax(0)
            assert int(law.argmax()) == token
            total += float(law[token])
            ids = torch.cat([ids, torch.tensor([[token]])], 1)
        assert float(log_p) == pytest.approx(total, abs=2e-3)


@pytest.mark.parametrize("kind", ["Llama", "Mistral", "Mamba"])
def test_sampled_sums_are_those_of_one_forward(kind):
    model, adaptor = tiny_or_skip(kind), ad.Adaptor(temperature=0.8, top_k=20)
    out = ad.generate(model, *padded(), adaptor=adaptor, max_new_tokens=7, num_return_sequences=3)
    for row in range(len(out)):
        ids = torch.tensor([out.prompts()[row] + out.completions()[row]])
        n = int(out.length[row])
        with torch.no_grad():
            logits = model(ids).logits[0, -n - 1 : -1].double()
        y = ids[0, -n:, None]
        log_p = logits.log_softmax(1).gather(1, y).sum()
        cut = logits / 0.8
        cut = cut.masked_fill(cut < cut.topk(20).values[:, -1:], -torch.inf)
        log_q = cut.log_softmax(1).gather(1, y).sum()
        assert float(out.log_p[row]) == pytest.approx(float(log_p), abs=1e-4)
        assert float(out.log_q[row]) == pytest.approx(float(log_q), abs=1e-4)


def test_padded_ragged_batched_and_split_agree():
    model = tiny("Llama")
    base = ad.generate(model, PROMPTS, max_new_tokens=9, num_return_sequences=4, seed=3)
    ids, mask = padded()
    for other in (
        ad.generate(model, ids, mask, max_new_tokens=9, num_return_sequences=4, seed=3),
        ad.generate(model, PROMPTS, max_new_tokens=9, num_return_sequences=4, seed=3, batch_size=3),
    ):
        assert other.completions() == base.completions()
        torch.testing.assert_close(other.log_p, base.log_p, rtol=0, atol=1e-4)


def test_eos_of_the_model_and_nothing_else_of_its_config():
    model = tiny("Llama")
    kwargs = dict(max_new_tokens=40, num_return_sequences=8, seed=0)
    base = ad.generate(model, PROMPTS, **kwargs)
    assert base.eos_token_id == (2,)
    assert base.pad_token_id == 0
    assert "eos" in base.finish_reason
    model.generation_config.update(
        do_sample=True, temperature=0.2, top_k=1, repetition_penalty=2.0, max_length=3
    )
    again = ad.generate(model, PROMPTS, **kwargs)
    assert again.completions() == base.completions()


def test_reference_and_score_strings_agree(monkeypatch):
    model, reference = tiny("Llama"), tiny("GPT2", seed=1)
    kwargs = dict(max_new_tokens=9, num_return_sequences=3)
    out = ad.generate(model, PROMPTS, reference=reference, **kwargs)
    scores = ad.score_strings(reference, out.prompts(), out.completions(), batch_size=4)
    torch.testing.assert_close(out.log_p_ref, scores.log_p[0], rtol=0, atol=1e-4)
    module = import_module("aligndec.generation.score_strings")  # the face has the function
    monkeypatch.setattr(module, "BLOCK_BYTES", 4 * V * 9 * 3)  # blocks of 3 tokens at first
    own = ad.score_strings(model, out.prompts(), out.completions())
    torch.testing.assert_close(out.log_p, own.log_p[0], rtol=0, atol=1e-4)


def through_transformers(model, adaptor, **kwargs):
    ids, mask = padded()
    decode = ad.custom_generate(adaptor, seed=5)
    return model.generate(ids, attention_mask=mask, custom_generate=decode, **kwargs)


def test_custom_generate_is_generate():
    model, adaptor = tiny("Llama"), ad.Adaptor(top_p=0.9)
    kwargs = dict(max_new_tokens=9, num_return_sequences=2)
    # Several draws per prompt: transformers wants do_sample, whose own top_k=50 must be off.
    plain = dict(do_sample=True, top_k=0)
    sequences = through_transformers(model, adaptor, **plain, **kwargs)
    own = ad.generate(model, *padded(), adaptor=adaptor, seed=5, **kwargs)
    assert torch.equal(sequences, own.sequences)
    out = through_transformers(model, adaptor, return_dict_in_generate=True, **plain, **kwargs)
    assert torch.equal(out.sequences, sequences)
    assert torch.equal(out.generation.log_z, own.log_z)


def test_custom_generate_greedy_is_transformers_greedy():
    model = sharp("Llama")
    ids, mask = padded()
    theirs = model.generate(ids, attention_mask=mask, do_sample=False, max_new_tokens=8)
    ours = through_transformers(model, GREEDY, max_new_tokens=8)
    assert torch.equal(theirs, ours)


@pytest.mark.parametrize(
    ("kwargs", "match"),
    [
        ({"guidance_scale": 1.3}, "logits_processor .*ClassifierFree"),
        ({"max_time": 9.0}, "stopping_criteria .*MaxTimeCriteria"),
        ({"num_beams": 2}, "num_beams must be 1"),
    ],
)
def test_custom_generate_refuses_what_would_change_the_law(kwargs, match):
    with pytest.raises(ValueError, match=f"custom_generate: {match}"):
        through_transformers(tiny("Llama"), ad.Adaptor(), max_new_tokens=4, **kwargs)


def test_vocabulary_is_the_width_of_the_logits():
    assert ad.generate(tiny("GPT2"), [[1]], max_new_tokens=1).tokens.max() < V


def test_custom_generate_without_an_adaptor_is_the_config_s_own_law():
    model = tiny("Llama")
    law = dict(do_sample=True, temperature=0.7, top_k=9, top_p=0.8)
    outs = []
    for adaptor, config in (
        (None, law),
        (ad.Adaptor(temperature=0.7, top_k=9, top_p=0.8), {"do_sample": False}),
    ):
        decode = ad.custom_generate(adaptor, seed=4)
        ids = torch.tensor(PROMPTS[:1])
        outs.append(model.generate(ids, max_new_tokens=9, custom_generate=decode, **config))
    assert torch.equal(*outs)


def test_custom_generate_replaces_the_sampling_of_an_instruct_model_s_config():
    model, ids = tiny("Llama"), torch.tensor(PROMPTS[:1])
    law = dict(do_sample=True, temperature=0.7, top_k=9, top_p=0.8, max_new_tokens=9)
    adaptor = ad.Adaptor(top_k=3)
    decode = ad.custom_generate(adaptor, seed=4)
    with pytest.warns(UserWarning, match=r"replaces temperature = 0.7, top_k = 9, top_p = 0.8"):
        out = model.generate(ids, custom_generate=decode, **law)
    plain = ad.generate(model, ids, adaptor=adaptor, seed=4, max_new_tokens=9)
    assert torch.equal(out, plain.sequences)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="custom_generate")
        model.generate(ids, custom_generate=decode, **law)  # one warning
    strict = ad.custom_generate(adaptor, seed=4, strict=True)
    with pytest.raises(ValueError, match=r"logits_processor must be empty .*TopK"):
        model.generate(ids, custom_generate=strict, **law)
