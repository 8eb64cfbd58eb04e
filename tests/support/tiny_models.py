"""Tiny transformers models with random weights, one of each kind of cache."""

import pytest
import torch

from aligndec.models import HFCausalLM
from aligndec.models.hf import compat

transformers = pytest.importorskip("transformers")

V = 61
BASE = dict(
    vocab_size=V,
    hidden_size=32,
    intermediate_size=48,
    num_hidden_layers=2,
    num_attention_heads=4,
    pad_token_id=0,
    bos_token_id=1,
    eos_token_id=2,
)
GQA = {**BASE, "num_key_value_heads": 2}
SSM = dict(vocab_size=V, hidden_size=32, num_hidden_layers=2, state_size=4)
GPT2 = dict(vocab_size=V, n_embd=32, n_layer=2, n_head=4, bos_token_id=1, eos_token_id=[2, 7])


KINDS = {
    "Llama": GQA,
    "GPT2": GPT2,
    "GPTNeoX": BASE,
    "Mistral": {**GQA, "sliding_window": 4},
    "Bloom": {k: v for k, v in BASE.items() if k != "intermediate_size"},
    "Mamba": SSM,
    "FalconMamba": SSM,
    "Lfm2": {**GQA, "layer_types": ["conv", "full_attention"]},
    "Bamba": {**GQA, "attn_layer_indices": [1], "mamba_n_heads": 4, "mamba_d_head": 16},
    "FalconH1": {**GQA, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_ssm": 64},
    "Roberta": {**BASE, "is_decoder": True, "pad_token_id": 60},
}


def tiny(kind, seed=0, **more):
    torch.manual_seed(seed)
    config = getattr(transformers, f"{kind}Config")(**{**KINDS[kind], **more})
    name = "GPT2LMHeadModel" if kind == "GPT2" else f"{kind}ForCausalLM"
    return getattr(transformers, name)(config).eval()


RECURRENT = ("Mamba", "FalconMamba", "Lfm2", "Bamba", "FalconH1")
NO_STATES = "transformers {} has no cache that holds states: refused by name: {}"


def tiny_or_skip(kind, seed=0):
    """A tiny model; where the installed transformers has no cache for its states, a skip."""
    model = tiny(kind, seed)
    if compat.keeps_states() or kind not in RECURRENT:
        return model
    with pytest.raises(TypeError, match=rf"cache.* got .*{kind}ForCausalLM; .*FunctionLM") as error:
        HFCausalLM(model)
    pytest.skip(NO_STATES.format(transformers.__version__, error.value))


def wrapped(kind):
    return HFCausalLM(tiny_or_skip(kind))
