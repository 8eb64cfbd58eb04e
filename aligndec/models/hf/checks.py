"""What a transformers model must be for its rows to be decoded with a cache."""

from __future__ import annotations

import inspect
from typing import Any

__all__ = ["check_filled", "check_kinds", "checked_model", "has_columns", "is_recurrent"]

_CACHE_NAMES = ("past_key_values", "cache_params", "cache")
"""What takes the cache: `cache` for every kind of it from transformers 5.24 on."""

_STATES = ("conv_states", "recurrent_states")

_INSTEAD = "wrap its forward in FunctionLM to run without a cache"


def checked_model(model: Any) -> tuple[Any, frozenset[str], str]:
    """Return a model's head, the arguments of its forward and the one that takes the cache."""
    if model.config.is_encoder_decoder:
        raise TypeError(
            f"HFCausalLM: model must be decoder-only, got the encoder-decoder {_name(model)}"
        )
    head = model.get_output_embeddings()
    if head is None:
        raise TypeError(
            f"HFCausalLM: model must have a language-modelling head, got {_name(model)}; "
            "load it with AutoModelForCausalLM"
        )
    if _is_encoder(model):
        raise TypeError(
            "HFCausalLM: model must attend to earlier tokens only, got the encoder "
            f"{_name(model)}; if it was trained as a decoder, load it with is_decoder=True"
        )
    if model.training:
        raise ValueError(
            "HFCausalLM: model must be in eval mode (dropout changes its law), got training "
            "mode; call model.eval()"
        )
    accepts = frozenset(inspect.signature(model.forward).parameters)
    # XLM and Flaubert always had a `cache` of their own.
    cache_names = [n for n in _CACHE_NAMES if n in accepts and not hasattr(model.config, "n_langs")]
    # Some models take these names but want a cache class of their own.
    standard = getattr(model, "_supports_default_dynamic_cache", lambda: True)()
    if not cache_names or not standard:
        raise TypeError(
            f"HFCausalLM: model must take a DynamicCache as {' or '.join(_CACHE_NAMES)}, "
            f"got {_name(model)}; {_INSTEAD}"
        )
    return head, accepts, cache_names[0]


def check_kinds(cache: Any, model: Any) -> None:
    """Refuse a new cache that has layers whose rows cannot be gathered."""
    from transformers import cache_utils

    for layer in cache.layers:
        kind = type(layer)
        # A layer class of the model's own that inherits its gather may hold more than it knows.
        known = kind.__module__ == cache_utils.__name__ or "reorder_cache" in vars(kind)
        if not known:
            raise TypeError(
                "HFCausalLM: the cache of model must be gatherable by rows, got "
                f"{kind.__name__} in {_name(model)}; {_INSTEAD}"
            )


def check_filled(cache: Any, model: Any) -> None:
    """Refuse a model that read its prompts and left a layer of the cache empty."""
    for layer in cache.layers:
        places = [vars(layer).get(name) for name in _STATES]
        states = [state for place in places if isinstance(place, dict) for state in place.values()]
        no_state = bool(states) and all(state is None for state in states)
        no_columns = has_columns(layer) and vars(layer).get("is_initialized") is False
        if no_state or no_columns:
            raise TypeError(
                "HFCausalLM: model must keep its recurrent state in the cache, got "
                f"{_name(model)}, which keeps it in its modules; {_INSTEAD}"
            )


def is_recurrent(layer: Any) -> bool:
    """Whether a layer of a cache has nothing but a state from which it goes on."""
    return any(hasattr(layer, name) for name in _STATES) and not has_columns(layer)


def has_columns(layer: Any) -> bool:
    """Whether a layer of a cache has keys and values of every token."""
    return hasattr(layer, "keys")


def _is_encoder(model: Any) -> bool:
    """Whether a model was made to attend to both sides."""
    # GPT-NeoX's config has the field too, but none of its modules does.
    config = model.config.get_text_config(decoder=True)
    if getattr(config, "is_decoder", None) is not False:
        return False
    return any(getattr(module, "is_decoder", None) is False for module in model.modules())


def _name(model: Any) -> str:
    return type(model).__name__
