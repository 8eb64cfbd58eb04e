"""Everything of transformers that moved, or may: its inner names, and what differs by version.

No other module uses a name that transformers does not document (a test sees to it). Where versions
differ, the installed one is asked how it behaves; each entry says which version made it needed.
Behaviour that nobody has seen yet ends in `unknown`, which names the versions that are known.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor
from transformers import cache_utils
from transformers.cache_utils import CacheLayerMixin, DynamicLayer

__all__ = [
    "DynamicLayer",
    "begin",
    "cache_argument",
    "device_of",
    "first_position",
    "gathers",
    "has_columns",
    "has_states",
    "is_plain",
    "keeps_states",
    "left_empty",
    "new_cache",
    "outputs",
    "own_layers_fit",
    "repeats_groups",
    "unknown",
]

OLDEST, NEWEST = "4.57.1", "5.24.0"
"""The range that the matrix of docs/versions.md covers."""

_CACHE_ARGUMENTS = ("past_key_values", "cache_params", "cache")
"""What takes the cache; from 5.24 on `cache`, whatever its kind. Code that came with a checkpoint
keeps the old names, so they are looked for first."""

_STATES = ("conv_states", "recurrent_states")
"""Attributes of a recurrent layer (5.5): a tensor or None; a dict of them by 5.14.1."""


def unknown(what: str) -> TypeError:
    """Return the error for a transformers that behaves as none of the known ones."""
    return TypeError(
        f"HFCausalLM: transformers {version('transformers')} behaves as no known one: {what}; "
        f"{OLDEST} to {NEWEST} work: pip install 'transformers=={NEWEST}', or a newer aligndec"
    )


def cache_argument(model: Any) -> str | None:
    """Return the argument of `forward` that takes a `DynamicCache`; None: the model has its own.

    Raises
    ------
    TypeError
        When not even Llama takes its cache by a known name.
    """
    found = _by_signature(type(model).forward) or _by_signature(model.forward)
    # Models that take these names and want a class of their own say so (4.36).
    standard = getattr(model, "_supports_default_dynamic_cache", lambda: True)()
    if found is None and standard and _by_signature(_llama().forward) is None:
        raise unknown(f"no argument of forward is {' or '.join(_CACHE_ARGUMENTS)}")
    return found if standard else None


def _by_signature(forward: Any) -> str | None:
    accepts = inspect.signature(forward).parameters
    # XLM and Flaubert, which take the languages of their tokens, always had a `cache` of their own.
    if "langs" in accepts:
        return None
    return next((name for name in _CACHE_ARGUMENTS if name in accepts), None)


def _llama() -> Any:
    from transformers import LlamaForCausalLM

    return LlamaForCausalLM


def first_position(model: Any) -> int:
    """Return the position of the first token: RoBERTa and its like count from the pad id on.

    Their table of positions has a padding entry, and has had it in every version; the method that
    counts, by which tables of sines are known, was RoBERTa's only from 5.0 on.
    """
    for module in model.modules():
        padding = getattr(getattr(module, "position_embeddings", None), "padding_idx", None)
        if padding is None and hasattr(module, "create_position_ids_from_input_ids"):
            padding = getattr(module, "padding_idx", None)
        if padding is not None:
            return int(padding) + 1
    return 0


def new_cache(model: Any) -> Any:
    """Return an empty cache with the kinds of layers that the model's config asks for."""
    return cache_utils.DynamicCache(config=model.config)


def keeps_states() -> bool:
    """Whether a `DynamicCache` can hold recurrent states; before 5.5 such models had their own."""
    return hasattr(cache_utils, "LinearAttentionLayer")


def is_plain(layer: Any) -> bool:
    """Whether a layer holds the keys and values of every token and nothing else."""
    return type(layer) is DynamicLayer


def has_columns(layer: Any) -> bool:
    """Whether a layer has keys and values; 5.24's `DummyLayer` has both names and holds nothing."""
    return isinstance(layer, CacheLayerMixin)


def has_states(layer: Any) -> bool:
    """Whether a layer has a recurrent state, alone or beside columns."""
    return any(hasattr(layer, name) for name in _STATES)


def gathers(layer: Any) -> bool:
    """Whether the layer's class knows how to gather all that it holds.

    Raises
    ------
    TypeError
        For a kind of transformers' own whose contents have other names than the known ones.
    """
    kind = type(layer)
    if kind.__module__ != cache_utils.__name__:
        # A class of the model's own that inherits its gather may hold more than that knows.
        return "reorder_cache" in vars(kind)
    holds_nothing = getattr(layer, "is_initialized", None) is True  # DummyLayer (5.24)
    if not (has_columns(layer) or has_states(layer) or holds_nothing):
        raise unknown(f"its cache has layers of the kind {kind.__name__}")
    return True


def left_empty(layer: Any) -> bool:
    """Whether a layer that a prompt has gone through holds nothing of it.

    RecurrentGemma keeps its states in its modules, and gets layers for columns up to 5.23.
    """
    if has_columns(layer) and not layer.is_initialized:
        return True
    held = [vars(layer).get(name) for name in _STATES]
    states = [state for x in held for state in (x.values() if isinstance(x, dict) else (x,))]
    return has_states(layer) and all(state is None for state in states)


def repeats_groups() -> bool:
    """Whether grouped keys are repeated before torch's attention where there is a mask.

    Before 5.23 they are, so the rows of such models keep no common prefix beside padding.
    """
    from transformers.integrations import sdpa_attention

    return not hasattr(sdpa_attention, "pack_gqa")


def begin(layer: DynamicLayer, keys: Tensor, values: Tensor) -> None:
    """Initialise a layer for columns like the given ones, without appending any.

    `lazy_initialization` takes the keys alone up to 4.57, and the values too from 5.0 on; `update`
    with no columns calls it in every version.
    """
    DynamicLayer.update(layer, keys[..., :0, :], values[..., :0, :])


def outputs(head: Any) -> int | None:
    """Return the outputs of a head, packed, quantised or wrapped as its weight may be."""
    for layer in (head, *(getattr(head, n, None) for n in ("base_layer", "original_module"))):
        for name in ("out_features", "num_embeddings"):
            size = getattr(layer, name, None)
            if isinstance(size, int):
                return size
        weight = getattr(layer, "weight", None)
        if isinstance(weight, Tensor) and weight.dim() == 2:
            return int(weight.shape[0])
    return None


def device_of(model: Any) -> torch.device:
    """Return where a model wants its ids; accelerate's hooks move weights there and away again."""
    for hook in _hooks(model):
        device = getattr(hook, "execution_device", None)
        if device is not None:
            return torch.device(f"cuda:{device}" if isinstance(device, int) else device)
    device = torch.device(model.device)
    if device.type == "meta":
        raise ValueError(
            f"HFCausalLM: model must have its weights somewhere, got {type(model).__name__} on the "
            "meta device; load them with from_pretrained, or dispatch it with accelerate"
        )
    return device


def own_layers_fit(model: Any) -> bool:
    """Whether a model reads its cache by operations of torch, one after the other.

    A compiled forward and flex attention, which compiles itself, want plain tensors; weights that
    accelerate brings and takes away want no inference mode.
    """
    compiled = hasattr(model.forward, "_torchdynamo_orig_callable") or any(
        getattr(module, "_compiled_call_impl", None) is not None for module in model.modules()
    )
    attention = getattr(model.config.get_text_config(decoder=True), "_attn_implementation", "")
    offloaded = any(getattr(hook, "offload", False) for hook in _hooks(model))
    return not (compiled or offloaded or "flex" in str(attention))


def _hooks(model: Any) -> Iterator[Any]:
    """Yield accelerate's hooks."""
    for module in model.modules():
        hook = getattr(module, "_hf_hook", None)
        yield from getattr(hook, "hooks", () if hook is None else (hook,))
