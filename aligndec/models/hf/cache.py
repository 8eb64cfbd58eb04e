"""What is done to a cache of transformers: it is made, its rows are gathered, two are joined."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from aligndec.models.hf import compat
from aligndec.models.hf.checks import check_kinds
from aligndec.models.hf.growing_layer import GrowingLayer
from aligndec.models.hf.shared_prefix import gather_layers, whole_layer

__all__ = ["gathered", "is_own", "joined", "made", "pad_left"]


def made(model: Any) -> Any:
    """Return an empty cache whose plain layers are ours, which grow without copies.

    Raises
    ------
    TypeError
        For a kind of layer that cannot be gathered by rows.
    """
    cache = compat.new_cache(model)
    check_kinds(cache, model)
    if compat.own_layers_fit(model):
        cache.layers = [GrowingLayer() if compat.is_plain(x) else x for x in cache.layers]
    return cache


def is_own(cache: Any) -> bool:
    """Whether every layer is ours: only those may be joined, and made without bookkeeping."""
    return all(isinstance(layer, GrowingLayer) for layer in cache.layers)


def gathered(cache: Any, index: Tensor) -> Any:
    """Return a cache of the rows `index` [B2]; the given one keeps its own tensors."""
    out = copy.copy(cache)
    out.layers = gather_layers(cache.layers, index)
    return out


def joined(first: Any, second: Any, width: int, unused: int = 0) -> Any:
    """Return a cache of the rows of both, padded on the left to `width`, less `unused` columns."""
    out = copy.copy(first)
    pairs = zip(first.layers, second.layers, strict=True)
    whole = [[whole_layer(layer) for layer in pair] for pair in pairs]
    out.layers = [copy.copy(a) for a, _ in whole]
    for layer, pair in zip(out.layers, whole, strict=True):
        if not layer.is_initialized:  # a layer of cross-attention without anything to look at
            continue
        for name in ("keys", "values"):
            padded = [pad_left(getattr(one, name), width, 2) for one in pair]
            setattr(layer, name, torch.cat(padded)[:, :, unused:])
    return out


def pad_left(x: Tensor, width: int, dim: int) -> Tensor:
    """Put zeros before `x` [..] along `dim` up to `width` entries."""
    return torch.nn.functional.pad(x, (0, 0) * (x.dim() - 1 - dim) + (width - x.shape[dim], 0))
