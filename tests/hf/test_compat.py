"""A transformers that nobody has seen ends in a sentence; the shape of the known ones is asked."""

import pytest
import torch

pytest.importorskip("transformers")
import transformers
from support.tiny_models import V, tiny

from aligndec.models import HFCausalLM
from aligndec.models.hf import compat as compat
from aligndec.testing import check_step_lm

NEW = rf"transformers {transformers.__version__} behaves as no known one: "
HOW = rf"; {compat.OLDEST} to {compat.NEWEST} work: pip install 'transformers=={compat.NEWEST}'"


def test_a_cache_argument_of_a_new_name_says_which_versions_are_known(monkeypatch):
    monkeypatch.setattr(compat, "_CACHE_ARGUMENTS", ("a_name_of_the_past",))
    with pytest.raises(TypeError, match=f"{NEW}no argument of forward.*{HOW}") as error:
        HFCausalLM(tiny("Llama"))
    assert "FunctionLM" not in str(error.value)  # nothing that costs the cache


def test_states_of_a_new_name_are_not_taken_for_none(monkeypatch):
    class NewLayer:
        __module__ = "transformers.cache_utils"
        renamed_states = None

    cache = compat.new_cache(tiny("Llama"))
    cache.layers[1] = NewLayer()
    monkeypatch.setattr(compat, "new_cache", lambda model: cache)
    with pytest.raises(TypeError, match=f"{NEW}.*kind NewLayer{HOW}"):
        HFCausalLM(tiny("Llama"))


def test_the_known_range_holds_the_installed_version():
    numbers = [
        tuple(int(part) for part in text.split(".")[:2])
        for text in (compat.OLDEST, transformers.__version__, compat.NEWEST)
    ]
    assert numbers[0] <= numbers[1]
    assert numbers[0] < numbers[2]


@pytest.mark.parametrize("kind", ["Roberta", "XLMRoberta", "Camembert", "Data2VecText"])
def test_positions_of_padded_rows_start_behind_the_pad_id(kind):
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=V,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        is_decoder=True,
        pad_token_id=7,
        bos_token_id=1,
        eos_token_id=2,
    )
    model = getattr(transformers, f"{kind}ForCausalLM")(config).eval()
    assert compat.first_position(model) == 8
    prompts = [[11, 12, 13, 14, 15], [16, 17], [18, 19, 20]]
    check_step_lm(HFCausalLM(model), prompts, atol=2e-5)
    # A row without padding is transformers' own: its positions come from the ids there.
    ids = torch.tensor([[11, 12, 13]])
    ours = HFCausalLM(model).prefill(ids, ids > 0)[0]
    padded = torch.cat([torch.full((1, 2), 7), ids], 1)
    behind = HFCausalLM(model).prefill(padded, padded != 7)[0]
    theirs = model(ids).logits[:, -1]
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=0)
    torch.testing.assert_close(behind, theirs, atol=2e-5, rtol=0)
