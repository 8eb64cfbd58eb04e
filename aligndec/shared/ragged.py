"""Rows of different lengths in one tensor: ids [nnz] and where each row starts, offsets [B + 1]."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["dense", "offsets_of", "picked", "row_of_entry"]


def offsets_of(lengths: Tensor) -> Tensor:
    """Offsets int64 [B + 1] of rows of these lengths."""
    return torch.cat([lengths.new_zeros(1, dtype=torch.int64), lengths.cumsum(0)])


def row_of_entry(offsets: Tensor) -> Tensor:
    """Return the row of each entry, int64 [nnz]."""
    rows = torch.arange(len(offsets) - 1, device=offsets.device)
    return rows.repeat_interleave(offsets.diff())


def picked(offsets: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Entries of the rows `index`, one after the other, and the offsets of the rows so made."""
    lengths = offsets.diff()[index]
    made = offsets_of(lengths)
    shift = (offsets[:-1][index] - made[:-1]).repeat_interleave(lengths)
    return torch.arange(len(shift), device=shift.device) + shift, made


def dense(ids: Tensor, offsets: Tensor, values: Tensor | bool, vocab: int) -> Tensor:
    """Return the rows written out, [B, V]: `values` [nnz] or True at the ids, 0 elsewhere.

    Ids outside [0, V) are left out.
    """
    rows = row_of_entry(offsets)
    here = slice(int(offsets[0]), int(offsets[-1]))
    ids = ids[here].long()
    inside = (ids >= 0) & (ids < vocab)
    at = (rows[inside], ids[inside])
    if isinstance(values, bool):
        mask = torch.zeros(len(offsets) - 1, vocab, dtype=torch.bool, device=ids.device)
        mask[at] = values
        return mask
    out = torch.zeros(len(offsets) - 1, vocab, dtype=values.dtype, device=ids.device)
    out[at] = values[here][inside]
    return out
