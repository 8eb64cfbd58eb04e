"""Logits processors of transformers that are penalties, read from the objects themselves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from aligndec.step import Penalties

__all__ = ["penalties_of"]


def _repetition(processor: Any, width: int) -> dict[str, Any]:
    skipped = getattr(processor, "prompt_ignore_length", None)
    if skipped is not None:
        raise ValueError(
            "custom_generate: logits_processor must be without prompt_ignore_length (a repetition "
            f"penalty here counts the prompt), got {skipped}"
        )
    return {"repetition": float(processor.penalty)}


def _suppressed(processor: Any, width: int) -> dict[str, Any]:
    return {"logit_bias": dict.fromkeys(map(int, processor.suppress_tokens), -math.inf)}


_READ: dict[str, Callable[[Any, int], dict[str, Any]]] = {
    "RepetitionPenaltyLogitsProcessor": _repetition,
    "NoRepeatNGramLogitsProcessor": lambda p, width: {"no_repeat_ngram": int(p.ngram_size)},
    "SequenceBiasLogitsProcessor": lambda p, width: {"logit_bias": dict(p.sequence_bias)},
    "NoBadWordsLogitsProcessor": lambda p, width: {"logit_bias": dict(p.sequence_bias)},
    "SuppressTokensLogitsProcessor": _suppressed,
    "MinLengthLogitsProcessor": lambda p, width: {
        "min_new_tokens": max(0, int(p.min_length) - width)
    },
    "MinNewTokensLengthLogitsProcessor": lambda p, width: {"min_new_tokens": int(p.min_new_tokens)},
}


def penalties_of(processors: Any, width: int) -> tuple[Penalties | None, list[Any]]:
    """Return what some processors come to, for prompts of `width` columns, and the other ones.

    They may stand in any order in which transformers builds them: biases first, then repetition;
    what takes tokens out commutes with both.
    """
    fields: dict[str, Any] = {}
    others = []
    for processor in processors or ():
        name = type(processor).__name__
        if name not in _READ:
            others.append(processor)
            continue
        for field, value in _READ[name](processor, width).items():
            if field == "logit_bias":
                bias = fields.setdefault("logit_bias", {})
                for ids, amount in value.items():
                    key = ids if isinstance(ids, tuple) else (ids,)
                    bias[key] = bias.get(key, 0.0) + amount
            elif field == "min_new_tokens":
                fields[field] = max(value, fields.get(field, 0))
            elif field in fields:
                raise ValueError(
                    f"custom_generate: logits_processor must be of one {name}, got two of them"
                )
            else:
                fields[field] = value
    return (Penalties(**fields) if fields else None), others
