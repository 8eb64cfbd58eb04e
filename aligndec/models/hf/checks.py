"""What a transformers model must be for its rows to be decoded with a cache."""

from __future__ import annotations

import inspect
from typing import Any

__all__ = ["check_filled", "check_kinds", "checked_model"]

_INSTEAD = "wrap its forward in FunctionLM to run without a cache"


def checked_model(model: Any) -> tuple[Any, frozenset[str], str]:
    """Return a model's head, the arguments of its forward and the one that takes the cache."""
    from aligndec.models.hf import compat as compat

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
    argument = compat.cache_argument(model)
    if argument is None:
        raise TypeError(
            "HFCausalLM: model must take a DynamicCache (and have no cache of its own), got "
            f"{_name(model)}; {_INSTEAD}"
        )
    return head, accepts, argument


def check_kinds(cache: Any, model: Any) -> None:
    """Refuse a new cache that has layers whose rows cannot be gathered."""
    from aligndec.models.hf import compat as compat

    for layer in cache.layers:
        if not compat.gathers(layer):
            raise TypeError(
                "HFCausalLM: the cache of model must be gatherable by rows, got "
                f"{type(layer).__name__} in {_name(model)}; {_INSTEAD}"
            )


def check_filled(cache: Any, model: Any) -> None:
    """Refuse a model that read its prompts and left a layer of the cache empty."""
    from aligndec.models.hf import compat as compat

    if any(map(compat.left_empty, cache.layers)):
        raise TypeError(
            "HFCausalLM: model must keep its recurrent state in the cache, got "
            f"{_name(model)}, which keeps it in its modules; {_INSTEAD}"
        )


def _is_encoder(model: Any) -> bool:
    """Whether a model was made to attend to both sides."""
    # GPT-NeoX's config has the field too, but none of its modules does.
    config = model.config.get_text_config(decoder=True)
    if getattr(config, "is_decoder", None) is not False:
        return False
    return any(getattr(module, "is_decoder", None) is False for module in model.modules())


def _name(model: Any) -> str:
    return type(model).__name__
