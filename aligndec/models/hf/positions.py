"""Positions of a transformers model: where they begin, where they end, what turns with length."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from aligndec.models.hf import compat

__all__ = ["first_position", "forgets_scale", "max_positions", "scale_of_length"]

_TABLE = re.compile(r"(^|\.)(wpe|w_pos|pos\w*_embed\w*|embed_positions|pos_encoding)(\.weight)?$")
_NOT_TEXT = re.compile(
    r"visi|visual|image|audio|tower|speech|encoder\.|perceiver|resampler|qformer"
)


def first_position(model: Any) -> int:
    """Return the position of a model's first token: mostly 0."""
    return compat.first_position(model) or _prepared_offset(model)


def _prepared_offset(model: Any) -> int:
    """Return what a model adds to the positions that `generate` prepares (PaliGemma: 1)."""
    given = torch.arange(3, device=compat.device_of(model))[None]
    try:
        prepared = model.prepare_inputs_for_generation(
            torch.zeros_like(given),
            attention_mask=torch.ones_like(given),
            position_ids=given,
            cache_position=given[0],
        )
        found = prepared.get("position_ids")
    except Exception:  # a model that wants images or the like says nothing about text
        return 0
    if not isinstance(found, Tensor) or found.shape != given.shape:
        return 0
    moved = (found - given)[0].tolist()
    return int(moved[0]) if len(set(moved)) == 1 and moved[0] > 0 else 0


def _rotary(model: Any) -> Iterator[tuple[Any, str]]:
    """Modules with rotary frequencies that depend on the length, and the kind."""
    for module in model.modules():
        kinds = getattr(module, "rope_type", None)
        for kind in kinds.values() if isinstance(kinds, dict) else (kinds,):
            if isinstance(kind, str) and ("dynamic" in kind or kind == "longrope"):
                yield module, kind


def scale_of_length(model: Any) -> Callable[[Tensor], Tensor] | None:
    """Return the scale of strings of given lengths; None where a model has only one.

    Two of long RoPE, below and above the length of its first training; one for each length beyond
    that of dynamic NTK.
    """
    found = list(_rotary(model))
    if not found:
        return None
    longs = sorted({_first_length(m) for m, kind in found if kind == "longrope"})
    grows = sorted({int(m.original_max_seq_len) for m, kind in found if kind != "longrope"})
    first = first_position(model)

    def scale(lengths: Tensor) -> Tensor:
        lengths = lengths + first
        out = sum(((lengths > n).long() for n in longs), torch.zeros_like(lengths))
        return out + len(longs) + 1 + (lengths - grows[0]).clamp(min=0) if grows else out

    return scale


def _first_length(module: Any) -> int:
    """Return the length that long RoPE was first trained for; its place moved with 5.0."""
    config = module.config
    for name in ("rope_parameters", "rope_scaling"):
        given = getattr(config, name, None) or {}
        for rope in (given, *(v for v in given.values() if isinstance(v, dict))):
            if rope.get("original_max_position_embeddings"):
                return int(rope["original_max_position_embeddings"])
    own = getattr(config, "original_max_position_embeddings", None)
    return int(own or config.max_position_embeddings)


def forgets_scale(model: Any) -> None:
    """Bring dynamic frequencies to what they were before any forward: they keep the longest."""
    for module, kind in _rotary(model):
        for name in vars(module) | dict(module.named_buffers(recurse=False)):
            if name.endswith("original_inv_freq") and "dynamic" in kind:
                prefix = name.removesuffix("original_inv_freq")
                like = getattr(module, f"{prefix}inv_freq")
                setattr(module, f"{prefix}inv_freq", getattr(module, name).to(like.device))
                setattr(module, f"{prefix}max_seq_len_cached", module.original_max_seq_len)


def max_positions(model: Any) -> int | None:
    """Return how many tokens a model has positions for; None where they have no end.

    Tables of positions have a row for each, OPT's and its like some more.
    """
    tables = [*model.named_parameters(), *model.named_buffers()]
    # Sines that are neither, GPT-J's before 5.0 for one.
    for owner, module in model.named_modules():
        loose = {k: x for k, x in vars(module).items() if isinstance(x, Tensor)}
        tables += [(f"{owner}.{name}", x) for name, x in loose.items()]
    found = [
        x.shape[0] - getattr(model.get_submodule(owner), "offset", 0)
        for name, x in tables
        if (match := _TABLE.search(name)) and x.dim() == 2 and not _NOT_TEXT.search(name)
        for owner in [name.removesuffix(".weight") if match[3] else name.rpartition(".")[0]]
    ]
    return min(found) - first_position(model) if found else None
