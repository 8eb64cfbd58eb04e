"""Translation of transformers' generation config, without importing transformers."""

from __future__ import annotations

from typing import Any

__all__ = ["fields_of"]

# What changes the law of a string and has no counterpart here, with values that ask for nothing.
_REFUSED: dict[str, tuple[Any, ...]] = {
    "num_beams": (1,),
    "num_beam_groups": (1,),
    "diversity_penalty": (0.0,),
    "penalty_alpha": (0.0,),
    "dola_layers": (),
    "constraints": (),
    "force_words_ids": (),
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
# transformers applies top_h before the other cuts, `Adaptor` after them: the sets agree when it is
# alone. Values of the others that cut nothing.
_CUTS: dict[str, float] = {
    "top_k": 0,
    "top_p": 1.0,
    "min_p": 0.0,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
}


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
        if empty or value in neutral:
            continue
        raise ValueError(
            f"Adaptor.from_generation_config: {name} must be "
            f"{' or '.join(['None', *map(repr, neutral)])} (no counterpart here), got {value!r}"
        )
    if greedy:
        return {"temperature": 0.0}
    asked = {name: getattr(config, name, None) for name in ("temperature", *_CUTS, "top_h")}
    fields = {name: value for name, value in asked.items() if value is not None}
    cuts = [name for name, off in _CUTS.items() if fields.get(name, off) != off]
    if fields.get("top_h") and cuts:
        raise ValueError(
            "Adaptor.from_generation_config: top_h must be None together with "
            f"{', '.join(cuts)} (transformers applies it first, an Adaptor after them), got "
            f"{fields['top_h']!r}"
        )
    return fields
