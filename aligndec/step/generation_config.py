"""Translation of transformers' generation config, without importing transformers."""

from __future__ import annotations

from typing import Any

__all__ = ["fields_of"]

_SAMPLING = ("temperature", "top_k", "top_p", "min_p", "typical_p", "epsilon_cutoff", "eta_cutoff")

# What changes the law of a string and has no counterpart here, with values that ask for nothing.
_REFUSED: dict[str, tuple[Any, ...]] = {
    "num_beams": (1,),
    "num_beam_groups": (1,),
    "diversity_penalty": (0.0,),
    "penalty_alpha": (0.0,),
    "dola_layers": (),
    "constraints": (),
    "force_words_ids": (),
    "top_h": (),
    "repetition_penalty": (1.0,),
    "encoder_repetition_penalty": (1.0,),
    "no_repeat_ngram_size": (0,),
    "encoder_no_repeat_ngram_size": (0,),
    "bad_words_ids": (),
    "min_length": (0,),
    "min_new_tokens": (0,),
    "forced_bos_token_id": (),
    "forced_eos_token_id": (),
    "remove_invalid_values": (False,),
    "exponential_decay_length_penalty": (),
    "suppress_tokens": (),
    "begin_suppress_tokens": (),
    "sequence_bias": (),
    "token_healing": (False,),
    "guidance_scale": (1.0,),
    "watermarking_config": (),
    "stop_strings": (),
}
# Warpers act only where transformers samples: a greedy config that carries one is still greedy.
_ONLY_WHEN_SAMPLING = ("top_h",)


def fields_of(config: Any) -> dict[str, Any]:
    """Return the `Adaptor` fields that a generation config asks for; refuse the rest by name."""
    if not hasattr(config, "do_sample"):
        raise TypeError(
            "Adaptor.from_generation_config: config must be a transformers GenerationConfig, got "
            f"{type(config).__name__}"
        )
    greedy = not config.do_sample
    for name, neutral in _REFUSED.items():
        value = getattr(config, name, None)
        empty = value is None or (isinstance(value, (list, tuple, dict)) and not value)
        if empty or value in neutral or (greedy and name in _ONLY_WHEN_SAMPLING):
            continue
        raise ValueError(
            f"Adaptor.from_generation_config: {name} must be "
            f"{' or '.join(['None', *map(repr, neutral)])} (no counterpart here), got {value!r}"
        )
    if greedy:
        return {"temperature": 0.0}
    asked = {name: getattr(config, name, None) for name in _SAMPLING}
    return {name: value for name, value in asked.items() if value is not None}
