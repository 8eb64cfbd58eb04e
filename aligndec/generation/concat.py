"""Runs laid one after the other."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from aligndec.generation.kept import widened
from aligndec.generation.penalised import as_json
from aligndec.step import KeptSets

__all__ = ["concat"]

_PER_PROMPT = ("input_ids", "attention_mask")


def concat(parts: Sequence[Any]) -> Any:
    """Return the rows of several results of one type; see `Generation.concat`."""
    kinds = {type(part) for part in parts}
    if len(kinds) != 1:
        got = ", ".join(sorted(kind.__name__ for kind in kinds)) or "none"
        raise TypeError(f"Generation.concat: parts must be >= 1 results of one type, got {got}")
    first = parts[0]
    if len(parts) == 1:
        return first
    for name in ("eos_token_id", "pad_token_id"):
        found = sorted({str(getattr(part, name)) for part in parts})
        if len(found) > 1:
            raise ValueError(
                f"Generation.concat: parts must agree in {name}, got {' and '.join(found)}"
            )
    if len({json.dumps(as_json(part.penalties)) for part in parts}) > 1:
        raise ValueError(
            "Generation.concat: parts must agree in penalties, got several, or some with and some "
            "without"
        )
    fields: dict[str, Any] = {}
    for field in dataclasses.fields(first):
        values = [getattr(part, field.name) for part in parts]
        fields[field.name] = _joined(field.name, values, first.pad_token_id)
    shift = torch.tensor([0, *(len(part.prompt_ids) for part in parts[:-1])]).cumsum(0).tolist()
    fields["prompt_index"] = torch.cat(
        [part.prompt_index + n for part, n in zip(parts, shift, strict=True)]
    )
    fields["adaptors"] = _adaptors(parts)
    if first.kept is not None:
        width = fields["tokens"].shape[1]
        sets = [widened(part.kept, len(part), width).to(first.tokens.device) for part in parts]
        fields["kept"] = KeptSets.cat(sets)
    return type(first)(**fields)


def _joined(name: str, values: list[Any], pad_token_id: int) -> Any:
    """One field of all parts."""
    if len({value is None for value in values}) > 1 and name != "seed":
        raise ValueError(
            f"Generation.concat: parts must all have {name} or none, got it in "
            f"{sum(value is not None for value in values)} of {len(values)}"
        )
    one = values[0]
    if isinstance(one, Tensor):
        return _stacked(name, values, pad_token_id)
    if name in ("text", "prompt_text") and one is not None:
        return tuple(text for value in values for text in value)
    if name == "stop_strings":
        return tuple(dict.fromkeys(text for value in values for text in value))
    if name == "max_new_tokens":
        return max(values)
    if name == "seed":  # None: of several seeds
        return one if len(set(values)) == 1 else None
    if isinstance(one, int) and name != "pad_token_id":  # counts of calls
        return sum(values)
    return one


def _stacked(name: str, values: list[Tensor], pad_token_id: int) -> Tensor:
    """Rows of all parts; prompts are filled up on their left, strings on their right."""
    device = values[0].device
    if values[0].dim() == 1:
        return torch.cat([value.to(device) for value in values])
    width = max(value.shape[1] for value in values)
    fill = pad_token_id if name in ("input_ids", "tokens") else 0
    left = name in _PER_PROMPT
    rows = []
    for value in values:
        missing = width - value.shape[1]
        rows.append(pad(value.to(device), (missing, 0) if left else (0, missing), value=fill))
    return torch.cat(rows)


def _adaptors(parts: Sequence[Any]) -> tuple[Any, ...]:
    """One adaptor where all prompts have the same, else one per prompt."""
    each = [
        adaptor
        for part in parts
        for adaptor in (part.adaptors * (len(part.prompt_ids) if len(part.adaptors) == 1 else 1))
    ]
    return (each[0],) if len(set(each)) == 1 else tuple(each)
