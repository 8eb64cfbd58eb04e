"""Models whose rotary frequencies depend on the length: a string has one law in any company."""

import pytest
import torch

import aligndec as ad
from aligndec import testing
from aligndec.models import HFCausalLM
from aligndec.models.hf import compat

transformers = pytest.importorskip("transformers")
if not hasattr(transformers.LlamaConfig(), "rope_parameters"):  # named otherwise before 5.0
    pytest.skip("rope_parameters came with transformers 5.0", allow_module_level=True)

SIZES = dict(
    vocab_size=61,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
    initializer_range=0.3,
)
PROMPTS = [list(range(3, 13)), [20, 21], list(range(5, 35)), list(range(1, 16))]


def phi():
    rope = dict(rope_type="longrope", rope_theta=1e4, short_factor=[1.0] * 4, long_factor=[3.0] * 4)
    rope |= dict(original_max_position_embeddings=16, partial_rotary_factor=1.0)
    lengths = dict(max_position_embeddings=64, original_max_position_embeddings=16)
    return transformers.Phi3Config, {**lengths, "rope_parameters": rope}


def dynamic():
    rope = dict(rope_type="dynamic", factor=2.0, rope_theta=1e4)
    return transformers.LlamaConfig, {"max_position_embeddings": 16, "rope_parameters": rope}


def model_of(kind):
    config, more = kind()
    torch.manual_seed(0)
    return transformers.AutoModelForCausalLM.from_config(config(**SIZES, **more)).eval()


@torch.no_grad()
def greedy_without_cache(kind, prompt, count):
    """What the model says of each prefix by itself, asked as if for the first time."""
    ids = list(prompt)
    for _ in range(count):
        logits = model_of(kind)(torch.tensor([ids]), use_cache=False).logits[0, -1]
        ids.append(int(logits.argmax()))
        if ids[-1] == 2:
            break
    return ids[len(prompt) :]


@pytest.mark.parametrize("kind", [phi, dynamic])
def test_greedy_strings_are_those_without_a_cache(kind):
    model = model_of(kind)
    drawn = ad.generate(model, PROMPTS, adaptor=ad.Adaptor(temperature=0), max_new_tokens=8)
    assert drawn.completions() == [greedy_without_cache(kind, p, 8) for p in PROMPTS]
    scored = ad.score_strings(model, PROMPTS, drawn.completions())
    assert float((scored.log_p[0] - drawn.log_p).abs().max()) < 1e-4
    alone = ad.generate(model, PROMPTS, max_new_tokens=6, seed=1, batch_size=1)
    together = ad.generate(model, PROMPTS, max_new_tokens=6, seed=1)
    assert alone.completions() == together.completions()


@pytest.mark.parametrize("kind", [phi, dynamic])
def test_the_check_sees_what_a_cache_of_another_scale_does(kind, monkeypatch):
    lm = HFCausalLM(model_of(kind))
    testing.check_step_lm(lm)
    with monkeypatch.context() as patch:
        patch.setattr("aligndec.models.hf.positions.scale_of_length", lambda model: None)
        broken = HFCausalLM(model_of(kind))
    with pytest.raises(AssertionError, match="must differ by"):
        testing.check_step_lm(broken)


def test_positions_begin_where_generate_lets_them_begin(monkeypatch):
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**SIZES)).eval()
    plain = type(model).prepare_inputs_for_generation

    def from_one(self, *args, **kwargs):
        out = plain(self, *args, **kwargs)
        return {**out, "position_ids": out["position_ids"] + 1}

    assert HFCausalLM(model)._first_position == 0
    monkeypatch.setattr(type(model), "prepare_inputs_for_generation", from_one)
    lm = HFCausalLM(model)
    assert lm._first_position == 1
    seen = []
    note = lambda module, args, kwargs: seen.append(kwargs["position_ids"][0].tolist())  # noqa: E731
    model.register_forward_pre_hook(note, with_kwargs=True)
    _, state = lm.prefill(torch.tensor([[5, 6]]), torch.ones(1, 2, dtype=torch.bool))
    lm.step(torch.tensor([7]), state)
    assert seen == [[1, 2], [3]]


def test_heads_say_how_many_outputs_they_have():
    inner = torch.nn.Linear(4, 61)
    packed = torch.ao.nn.quantized.dynamic.Linear(4, 61)
    lora = torch.nn.Module()
    lora.base_layer = inner
    assert [compat.outputs(x) for x in (inner, packed, lora, torch.nn.Embedding(61, 4))] == [61] * 4
    assert compat.outputs(torch.nn.ModuleList([inner])) is None
