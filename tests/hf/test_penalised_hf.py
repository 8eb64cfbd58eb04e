"""Penalties on transformers models: greedy decoding equals transformers' own, token by token."""

import pytest
import torch

import aligndec as ad

transformers = pytest.importorskip("transformers")

from support.tiny_models import tiny  # noqa: E402

PROMPTS = torch.tensor([[1, 5, 9, 13, 4, 7], [1, 8, 8, 8, 5, 9], [1, 3, 3, 3, 3, 3]])
INF = float("inf")
PENALTIES = {
    "repetition": ({"repetition_penalty": 1.8}, {"repetition": 1.8}),
    "ngram": ({"no_repeat_ngram_size": 2}, {"no_repeat_ngram": 2}),
    "bias": (
        {"sequence_bias": [[[4], -40.0], [[1, 3], 30.0]]},
        {"logit_bias": {4: -40.0, (1, 3): 30.0}},
    ),
    "lengths": ({"min_new_tokens": 12}, {"min_new_tokens": 12}),
    "all": (
        {
            "repetition_penalty": 1.3,
            "no_repeat_ngram_size": 3,
            "bad_words_ids": [[4], [5, 9], [2]],
            "suppress_tokens": [7, 11],
            "min_length": 14,
        },
        {
            "repetition": 1.3,
            "no_repeat_ngram": 3,
            "logit_bias": {4: -INF, (5, 9): -INF, 7: -INF, 11: -INF},
            "min_new_tokens": 8,
        },
    ),
}


@pytest.fixture(scope="module")
def model():
    """Loops under greedy decoding, with logits far apart."""
    model = tiny("Llama", 3)
    with torch.no_grad():
        model.get_output_embeddings().weight.mul_(20)
    model.generation_config.eos_token_id = 2
    return model


@pytest.mark.parametrize("name", PENALTIES)
def test_greedy_is_transformers_greedy(model, name):
    config, fields = PENALTIES[name]
    kwargs = dict(max_new_tokens=24, do_sample=False)
    mask = torch.ones_like(PROMPTS)
    theirs = model.generate(PROMPTS, attention_mask=mask, **kwargs, **config)
    free = model.generate(PROMPTS, attention_mask=mask, **kwargs)
    ours = ad.generate(
        *(model, PROMPTS),
        adaptor=ad.Adaptor(temperature=0),
        penalties=ad.Penalties(**fields),
        max_new_tokens=24,
    )
    assert torch.equal(ours.sequences, theirs)
    if name != "lengths":  # the control
        assert theirs.shape != free.shape or not torch.equal(theirs, free)
    decode = ad.custom_generate(ad.Adaptor(temperature=0), seed=1)
    through = model.generate(
        *(PROMPTS,), attention_mask=mask, custom_generate=decode, **kwargs, **config
    )
    assert torch.equal(through, theirs)


def test_a_config_is_translated_in_two_halves(model):
    config = transformers.GenerationConfig(**PENALTIES["all"][0] | {"min_length": 0})
    config.eos_token_id = 2
    penalties = ad.Penalties.from_generation_config(config)
    adaptor = ad.Adaptor.from_generation_config(config, penalties=penalties)
    ours = ad.generate(model, PROMPTS, adaptor=adaptor, penalties=penalties, max_new_tokens=12)
    mask = torch.ones_like(PROMPTS)
    theirs = model.generate(
        PROMPTS, attention_mask=mask, generation_config=config, max_new_tokens=12
    )
    assert torch.equal(ours.sequences, theirs)


def test_what_has_no_counterpart_is_refused(model):
    processor = transformers.RepetitionPenaltyLogitsProcessor(1.2)
    decode = ad.custom_generate(ad.Adaptor(temperature=0), seed=1)
    kwargs = dict(custom_generate=decode, max_new_tokens=3, do_sample=False)
    from aligndec.generation.processors import penalties_of

    with pytest.raises(ValueError, match=r"must be of one RepetitionPenalty.*, got two"):
        penalties_of([processor, processor], 3)
    with pytest.raises(ValueError, match=r"custom_generate: logits_processor must be empty .*Exp"):
        model.generate(PROMPTS, exponential_decay_length_penalty=(1, 1.1), **kwargs)
