"""Adaptors made from the GenerationConfig of transformers."""

import math

import pytest

import aligndec as ad

GENERATION = [
    ({"do_sample": True}, {}),
    ({"do_sample": True, "temperature": 0.6, "top_k": 20}, {"temperature": 0.6, "top_k": 20}),
    ({"do_sample": True, "top_p": 0.9, "min_p": 0.1}, {"top_p": 0.9, "min_p": 0.1}),
    ({"do_sample": True, "typical_p": 0.5}, {"typical_p": 0.5}),
    ({"do_sample": True, "epsilon_cutoff": 3e-4}, {"epsilon_cutoff": 3e-4}),
    ({"do_sample": True, "eta_cutoff": 3e-4}, {"eta_cutoff": 3e-4}),
    ({"do_sample": True, "top_h": 0.4, "temperature": 0.7}, {"top_h": 0.4, "temperature": 0.7}),
    ({"do_sample": True, "top_h": 0.4, "top_k": 0, "top_p": 1.0}, {"top_h": 0.4}),
    ({"do_sample": False, "top_k": 5}, None),
    ({"do_sample": False, "top_h": 0.4, "top_k": 5}, None),
    ({"top_p": 0.5}, None),
]


@pytest.mark.parametrize(("given", "fields"), GENERATION, ids=range(len(GENERATION)))
def test_from_generation_config(given: dict, fields: dict | None) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.GenerationConfig()
    if "top_h" in given:  # no other cut beside it, also where a default brings one
        config.top_k = None
    own = {} if config.top_k is None else {"top_k": config.top_k}
    for name, value in given.items():
        setattr(config, name, value)
    adaptor = ad.Adaptor.from_generation_config(config)
    if fields is None:
        assert adaptor.temperature == 0
    else:  # a config of transformers 4 asks for top_k=50 by itself
        assert adaptor == ad.Adaptor(**{**own, **fields})


@pytest.mark.parametrize(
    ("name", "value"),
    [("repetition_penalty", 1.2), ("num_beams", 4), ("no_repeat_ngram_size", 2)],
)
def test_from_generation_config_refuses_by_name(name: str, value: float) -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.GenerationConfig(do_sample=True)
    setattr(config, name, value)
    with pytest.raises(ValueError, match=name):
        ad.Adaptor.from_generation_config(config)


def test_penalties_of_a_config() -> None:
    transformers = pytest.importorskip("transformers")
    config = transformers.GenerationConfig(
        do_sample=True,
        top_k=0,
        temperature=0.7,
        repetition_penalty=1.2,
        no_repeat_ngram_size=3,
        bad_words_ids=[[4], [5, 6], [2]],
        sequence_bias=[[[7], -1.5], [[8, 9], 2.0]],
        suppress_tokens=[11],
        min_new_tokens=2,
        eos_token_id=2,
    )
    bias = {(7,): -1.5, (8, 9): 2.0, (4,): -math.inf, (5, 6): -math.inf, (11,): -math.inf}
    expected = ad.Penalties(repetition=1.2, no_repeat_ngram=3, logit_bias=bias, min_new_tokens=2)
    found = ad.Penalties.from_generation_config(config)
    assert found == expected
    with pytest.raises(
        ValueError, match=r"repetition_penalty must be .* unless penalties is given"
    ):
        ad.Adaptor.from_generation_config(config)
    adaptor = ad.Adaptor.from_generation_config(config, penalties=found)
    assert adaptor == ad.Adaptor(temperature=0.7)
    assert ad.Penalties.from_generation_config(transformers.GenerationConfig()) == ad.Penalties()
    config.min_length = 9
    with pytest.raises(ValueError, match=r"min_length must be .* min_new_tokens\), got 9"):
        ad.Penalties.from_generation_config(config)


def test_top_h_beside_another_cut_is_refused() -> None:
    """transformers applies it before the others, and the sets would differ."""
    transformers = pytest.importorskip("transformers")
    config = transformers.GenerationConfig(do_sample=True)
    config.top_h, config.top_p, config.min_p, config.top_k = 0.4, 0.9, 0.1, None
    with pytest.raises(ValueError, match=r"top_h must be None together with top_p, min_p .*0\.4"):
        ad.Adaptor.from_generation_config(config)
