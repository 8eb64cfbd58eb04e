"""What `model.generate` hands on for the model's forward, and what of it can be honoured."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from aligndec.shared import plain

__all__ = ["existing_ids", "refuse_extras"]

# What follows from ids and mask, or says how and not what is computed.
_FOLLOWS = frozenset(
    {"attention_mask", "position_ids", "cache_position", "use_cache", "logits_to_keep"}
    | {"num_logits_to_keep", "output_attentions", "output_hidden_states", "return_dict"}
)
_CACHES = ("past_key_values", "cache", "cache_params")
_INSTEAD = "decode such a call with transformers' own methods"


def refuse_extras(model: Any, model_kwargs: Mapping[str, Any]) -> None:
    """Refuse by name what the model would have read beside ids and mask: it changes the law."""
    extras = []
    for name, value in model_kwargs.items():
        if value is None or value is False or name in _FOLLOWS:
            continue
        if name in _CACHES and not (hasattr(value, "get_seq_length") and value.get_seq_length()):
            continue
        extras.append(name)
    if extras:
        raise ValueError(
            "custom_generate: model_kwargs must be ids and their mask (the strings are those of "
            f"the text alone), got {', '.join(sorted(extras))}; {_INSTEAD}"
        )
    # PEFT puts its own method in the place of the model's while its `generate` runs.
    owner = getattr(model.prepare_inputs_for_generation, "__self__", model)
    tuned = getattr(owner, "active_peft_config", None)
    if owner is not model and getattr(tuned, "is_prompt_learning", False):
        raise ValueError(
            "custom_generate: model must be without learned prompts (they are no tokens), got "
            f"{type(owner).__name__} with {getattr(tuned, 'peft_type', 'prompt learning')!s}; "
            f"{_INSTEAD}, or tune with LoRA"
        )


def existing_ids(lm: Any, given: Any) -> tuple[int, ...]:
    """End or pad tokens of a generation config that are ids of the model: -1 and the like are none.

    They may be a number, several, a tensor, or None.
    """
    items = given.tolist() if hasattr(given, "tolist") else given
    if items is None:
        return ()
    listed = list(items) if isinstance(items, Iterable) else [items]
    return tuple(i for i in map(plain, listed) if 0 <= i < lm.vocab_size)
