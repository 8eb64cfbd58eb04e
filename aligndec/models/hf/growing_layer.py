"""A key-value cache layer that appends in place: transformers' own copies all of it every token."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from aligndec.models.hf.compat import DynamicLayer, begin
from aligndec.models.recorded import differentiated

__all__ = ["GrowingLayer", "copy_layer"]

_SPARE = 32
"""Columns of room for each allocation, at least; a long prefix gets half of its length."""


class GrowingLayer(DynamicLayer):  # type: ignore[misc]
    """A `DynamicLayer` whose keys and values [B, heads, length, D] are the head of larger buffers.

    Whatever rebinds `keys` and `values` (a gather, a crop, a copy) stays right: what is not the
    head of this layer's own buffers is copied into new ones at the next token.
    """

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Append columns; return all keys and values."""
        if differentiated(key_states, value_states):  # no writing into what a gradient needs
            whole: tuple[Tensor, Tensor] = super().update(key_states, value_states)
            return whole
        if not self.is_initialized:
            begin(self, key_states, value_states)
        self.keys = self._append("keys", key_states)
        self.values = self._append("values", value_states)
        return self.keys, self.values

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Gather rows, straight into buffers that have room."""
        if not self.is_initialized or differentiated(self.keys, self.values):
            super().reorder_cache(beam_idx)
            return
        for name in ("keys", "values"):
            old = getattr(self, name)
            room = self._allocate(name, old, len(beam_idx), old.shape[-2])
            head = room[..., : old.shape[-2], :]
            setattr(self, name, torch.index_select(old, 0, beam_idx.to(old.device), out=head))

    def _allocate(self, name: str, like: Tensor, rows: int, length: int) -> Tensor:
        """Make room for `length` columns and some more."""
        spare = max(_SPARE, length // 2)
        room = like.new_empty((rows, like.shape[1], length + spare, like.shape[-1]))
        setattr(self, f"{name}_room", room)
        return room

    def _append(self, name: str, new: Tensor) -> Tensor:
        old = getattr(self, name)
        length = old.shape[-2] if old.numel() else 0
        total = length + new.shape[-2]
        room: Tensor | None = vars(self).get(f"{name}_room")
        if room is None or total > room.shape[-2] or not (_is_head(old, room) and _writable(room)):
            room = self._allocate(name, new, new.shape[0], total)
            if length:
                room[..., :length, :] = old
        room[..., length:total, :] = new
        return room[..., :total, :]


def _is_head(part: Tensor, room: Tensor) -> bool:
    """Whether `part` is the first columns of `room`."""
    same = part.data_ptr() == room.data_ptr() and part.stride() == room.stride()
    return same and part.shape[0] == room.shape[0]


def _writable(x: Tensor) -> bool:
    """Whether the present mode may write into `x`."""
    return torch.is_inference_mode_enabled() or not x.is_inference()


def copy_layer(layer: Any) -> Any:
    """Copy a layer and its dicts of tensors, so that a gather rebinds the copy's entries only."""
    new = copy.copy(layer)
    for key, value in vars(layer).items():
        if isinstance(value, dict | list):
            setattr(new, key, copy.copy(value))
    return new
