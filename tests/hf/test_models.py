"""transformers models behind the step protocol: every kind of cache, and what is refused."""

import pytest
import torch

from aligndec.models import HFCausalLM, as_step_lm
from aligndec.testing.check_step_lm import check_step_lm

pytest.importorskip("transformers")
import transformers
from support.tiny_models import BASE, GQA, KINDS, SSM, V, tiny, wrapped

from aligndec.models.hf import compat as compat


@pytest.mark.parametrize("kind", KINDS)
def test_conforms(kind):
    # Prompts of up to 7 tokens and 6 steps: the sliding window of 4 is full and moves.
    lm = wrapped(kind)
    assert hasattr(lm, "join") == (kind in ("Llama", "GPT2", "GPTNeoX", "Bloom", "Roberta"))
    check_step_lm(lm, steps=6, atol=2e-5)


def test_join_drops_columns_that_no_row_uses():
    lm = HFCausalLM(tiny("Llama"))
    ids = torch.tensor([[3, 4, 5, 6], [0, 0, 0, 7]])
    _, state = lm.prefill(ids, ids != 0)
    short = lm.select(state, torch.tensor([1]))
    joined = lm.join(short, lm.select(short, torch.tensor([0, 0])))
    assert joined.length == 1
    tokens = torch.tensor([9, 9, 9])
    alone = lm.step(tokens[:1], short)[0].expand(3, V)
    torch.testing.assert_close(lm.step(tokens, joined)[0], alone, atol=2e-5, rtol=0)


def test_special_tokens_are_the_models_own():
    lm = HFCausalLM(tiny("GPT2"))
    assert lm.eos_token_id == (2, 7)
    assert lm.pad_token_id is None
    lm = HFCausalLM(tiny("Llama"))
    assert (lm.eos_token_id, lm.pad_token_id, lm.vocab_size) == ((2,), 0, V)


def test_generation_config_comes_before_config():
    model = tiny("Llama")
    model.generation_config.eos_token_id = [5, V + 3]  # an id that no logit has ends nothing
    assert HFCausalLM(model).eos_token_id == (5,)


def test_only_the_last_logits_are_formed():
    model, shapes = tiny("Llama"), []
    head = model.get_output_embeddings()
    head.register_forward_hook(lambda module, args, out: shapes.append(tuple(out.shape)))
    lm = HFCausalLM(model)
    ids = torch.ones(3, 5, dtype=torch.int64)
    _, state = lm.prefill(ids, ids == 1)
    lm.step(torch.tensor([3, 4, 5]), state)
    assert shapes == [(3, 1, V), (3, 1, V)]


def test_as_step_lm_wraps():
    assert isinstance(as_step_lm(tiny("GPT2")), HFCausalLM)


def test_training_mode_is_refused():
    with pytest.raises(ValueError, match=r"eval mode.*call model\.eval\(\)"):
        as_step_lm(tiny("GPT2").train())


def test_encoder_decoder_is_refused():
    config = transformers.T5Config(vocab_size=V, d_model=16, d_kv=4, d_ff=16, num_layers=1)
    with pytest.raises(TypeError, match="decoder-only, got the encoder-decoder T5"):
        as_step_lm(transformers.T5ForConditionalGeneration(config).eval())


@pytest.mark.parametrize("kind", ["Bert", "Roberta", "Electra", "RemBert"])
def test_encoder_is_refused(kind):
    config = getattr(transformers, f"{kind}Config")(**BASE)
    name = "BertLMHeadModel" if kind == "Bert" else f"{kind}ForCausalLM"
    model = getattr(transformers, name)(config).eval()
    with pytest.raises(TypeError, match=rf"got the encoder {name}; .*is_decoder=True"):
        as_step_lm(model)


def test_model_that_keeps_its_state_to_itself_is_refused():
    # Its recurrent state stands in its modules, where rows cannot be gathered.
    more = {"lru_width": 32, "attention_window_size": 4, "num_hidden_layers": 3}
    config = transformers.RecurrentGemmaConfig(**(BASE | more))
    model = transformers.RecurrentGemmaForCausalLM(config).eval()
    ids = torch.tensor([[3, 4, 5]])
    with pytest.raises(TypeError, match=r"cache.*got RecurrentGemma.*FunctionLM"):
        as_step_lm(model).prefill(ids, ids > 0)


def test_model_without_head_is_refused():
    model = transformers.LlamaModel(transformers.LlamaConfig(**GQA)).eval()
    with pytest.raises(TypeError, match=r"language-modelling head.*AutoModelForCausalLM"):
        as_step_lm(model)


@pytest.mark.parametrize("kind", ["XLM", "Flaubert"])
def test_a_cache_argument_of_the_models_own_is_refused(kind):
    """They take what they call `cache`, as every model does from transformers 5.24 on."""
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=V, emb_dim=16, n_layers=1, n_heads=2, is_decoder=True, causal=True
    )
    model = getattr(transformers, f"{kind}WithLMHeadModel")(config).eval()
    with pytest.raises(TypeError, match=rf"DynamicCache .*got {kind}WithLMHeadModel; .*FunctionLM"):
        as_step_lm(model)


@pytest.mark.parametrize("kind", ["Rwkv", "MiniMax"])
def test_model_with_a_cache_of_its_own_is_refused(kind):
    config = getattr(transformers, f"{kind}Config")(**(SSM | GQA | {"hidden_size": 32}))
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    with pytest.raises(TypeError, match=rf"DynamicCache .*got {kind}ForCausalLM; .*FunctionLM"):
        as_step_lm(model)


def test_cache_that_cannot_be_gathered_is_refused(monkeypatch):
    class OwnLayer(transformers.cache_utils.DynamicLayer):
        """Adds a tensor of its own but inherits the gather."""

    cache = compat.new_cache(tiny("Llama"))
    cache.layers[1] = OwnLayer()
    monkeypatch.setattr(compat, "new_cache", lambda model: cache)
    with pytest.raises(TypeError, match="gatherable by rows, got OwnLayer in Llama"):
        as_step_lm(tiny("Llama"))


@torch.no_grad()
def test_the_cache_grows_in_place_and_copies_do_not_share_it():
    lm = HFCausalLM(tiny("Llama"))
    ids = torch.tensor([[1, 5, 9], [1, 7, 3]])
    _, state = lm.prefill(ids, torch.ones_like(ids, dtype=torch.bool))
    both = torch.arange(2)
    first, second = lm.select(state, both), lm.select(state, both)
    _, first = lm.step(torch.tensor([4, 4]), first)
    room = first.cache.layers[0].keys.data_ptr()
    a, first = lm.step(torch.tensor([6, 8]), first)
    assert first.cache.layers[0].keys.data_ptr() == room  # appended, not copied
    _, second = lm.step(torch.tensor([4, 4]), second)
    b, second = lm.step(torch.tensor([6, 8]), second)
    assert torch.equal(a, b)
    # A copy of a state in use: both go on by themselves.
    third = lm.select(first, both)
    lm.step(torch.tensor([9, 9]), first)
    c, _ = lm.step(torch.tensor([2, 2]), third)
    d, _ = lm.step(torch.tensor([2, 2]), second)
    assert torch.equal(c, d)
    for _ in range(60):  # beyond the room of the first allocation
        a, third = lm.step(torch.tensor([3, 5]), third)
    whole = torch.cat([ids, torch.tensor([[4, 6, 2], [4, 8, 2]])], 1)
    whole = torch.cat([whole, torch.tensor([3, 5])[:, None].expand(2, 60)], 1)
    want, _ = lm.prefill(whole, torch.ones_like(whole, dtype=torch.bool))
    torch.testing.assert_close(a, want, rtol=0, atol=2e-5)


@pytest.mark.parametrize("frozen", [False, True])
def test_a_state_made_without_gradients_goes_on_with_them(frozen):
    model = tiny("Llama").requires_grad_(not frozen)
    lm, ids = HFCausalLM(model), torch.arange(3, 11).view(2, 4)
    with torch.no_grad():
        logits, state = lm.prefill(ids, torch.ones_like(ids, dtype=torch.bool))
        before, state = lm.step(ids[:, 0], state)
    assert not logits.is_inference()
    weight = torch.ones(V, requires_grad=True)
    (logits * weight).sum().backward()
    assert torch.equal(weight.grad, logits.sum(0))
    after, _ = lm.step(ids[:, 1], state)
    assert after.requires_grad != frozen
    whole = model(torch.cat([ids, ids[:, :2]], 1)).logits
    torch.testing.assert_close(before, whole[:, -2].detach(), atol=2e-5, rtol=0)
    torch.testing.assert_close(after, whole[:, -1], atol=2e-5, rtol=0)
