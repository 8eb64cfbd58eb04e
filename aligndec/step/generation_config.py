"""Translation of transformers' generation config, without importing transformers."""

from __future__ import annotations

import math
from typing import Any

__all__ = ["fields_of", "penalty_fields_of"]

# What changes the law of a string and has no counterpart here, with values that ask for nothing.
_REFUSED: dict[str, tuple[Any, ...]] = {
    "num_beams": (1,),
    "num_beam_groups": (1,),
    "diversity_penalty": (0.0,),
    "penalty_alpha": (0.0,),
    "dola_layers": (),
    "constraints": (),
    "force_words_ids": (),
    "encoder_repetition_penalty": (1.0,),
    "encoder_no_repeat_ngram_size": (0,),
    "min_length": (0,),
    "forced_bos_token_id": (),
    "forced_eos_token_id": (),
    "remove_invalid_values": (False,),
    "exponential_decay_length_penalty": (),
    "begin_suppress_tokens": (),
    "token_healing": (False,),
    "guidance_scale": (1.0,),
    "watermarking_config": (),
    "stop_strings": (),
}
# What `Penalties` has counterparts for, with values that ask for nothing.
_PENALTIES: dict[str, tuple[Any, ...]] = {
    "repetition_penalty": (1.0,),
    "no_repeat_ngram_size": (0,),
    "bad_words_ids": (),
    "sequence_bias": (),
    "suppress_tokens": (),
    "min_new_tokens": (0,),
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


def fields_of(config: Any, penalties: Any = None) -> dict[str, Any]:
    """Return the `Adaptor` fields that a generation config asks for; refuse the rest by name.

    Penalties are refused too, unless the caller has them.
    """
    function = "Adaptor.from_generation_config"
    _check(function, config)
    greedy = not config.do_sample
    _refuse(function, config, _REFUSED, "(no counterpart here)")
    if penalties is None:
        fix = (
            "unless penalties is given (Penalties.from_generation_config translates it, for this "
            "and for generate)"
        )
        _refuse(function, config, _PENALTIES, fix)
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


def penalty_fields_of(config: Any) -> dict[str, Any]:
    """Return the `Penalties` fields that a generation config asks for."""
    function = "Penalties.from_generation_config"
    _check(function, config)
    unknown = ("min_length", "encoder_repetition_penalty", "encoder_no_repeat_ngram_size")
    fix = "(no counterpart here; a least length is min_new_tokens)"
    _refuse(function, config, {name: _REFUSED[name] for name in unknown}, fix)
    asked = {name: getattr(config, name, None) for name in _PENALTIES}
    bias: dict[tuple[int, ...], float] = {}
    given = asked["sequence_bias"] or {}
    for ids, value in given.items() if isinstance(given, dict) else given:
        bias[tuple(ids)] = float(value)
    ends = getattr(config, "eos_token_id", None)
    ends = [ends] if isinstance(ends, int) else list(ends or ())
    # transformers drops end tokens from the bad words.
    words = [
        tuple(word) for word in asked["bad_words_ids"] or () if word not in [[i] for i in ends]
    ]
    for ids in [*words, *((int(i),) for i in asked["suppress_tokens"] or ())]:
        bias[ids] = -math.inf
    return {
        "repetition": 1.0 if (value := asked["repetition_penalty"]) is None else float(value),
        "no_repeat_ngram": asked["no_repeat_ngram_size"] or 0,
        "logit_bias": bias or None,
        "min_new_tokens": asked["min_new_tokens"] or 0,
    }


def _check(function: str, config: Any) -> None:
    if not hasattr(config, "do_sample"):
        raise TypeError(
            f"{function}: config must be a transformers GenerationConfig, got "
            f"{type(config).__name__}"
        )


def _refuse(function: str, config: Any, names: dict[str, tuple[Any, ...]], fix: str) -> None:
    """Refuse fields that ask for something."""
    for name, neutral in names.items():
        value = getattr(config, name, None)
        empty = value is None or (isinstance(value, (list, tuple, dict)) and not value)
        if empty or value in neutral:
            continue
        raise ValueError(
            f"{function}: {name} must be {' or '.join(['None', *map(repr, neutral)])} {fix}, got "
            f"{value!r}"
        )
