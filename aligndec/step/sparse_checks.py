"""Checks of sparse rows: kept sets and logit biases."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from aligndec.shared import offsets_of, whole

__all__ = ["check_rows", "sorted_rows"]


def sorted_rows(function: str, name: str, lists: Any) -> tuple[Tensor, Tensor]:
    """Ids int32 [nnz], ascending within a row, and offsets of lists of ints; no id twice."""
    if not isinstance(lists, Sequence) or isinstance(lists, str):
        raise TypeError(f"{function}: {name} must be a list of lists of ints, got {lists!r}")
    flat: list[int] = []
    lengths = []
    for row, ids in enumerate(lists):
        one = sorted(whole(function, name, i, "lists of ints") for i in ids)
        twice = [a for a, b in pairwise(one) if a == b]
        if twice:
            raise ValueError(
                f"{function}: {name} must be without duplicates, got {twice[0]} twice in row {row}"
            )
        if one and not 0 <= one[0] <= one[-1] < 2**20:
            got = one[0] if one[0] < 0 else one[-1]
            raise ValueError(f"{function}: {name} must be ids in [0, 2^20), got {got} in row {row}")
        flat += one
        lengths.append(len(one))
    return torch.tensor(flat, dtype=torch.int32), offsets_of(torch.tensor(lengths).long())


def check_rows(
    function: str, name: str, ids: Any, offsets: Any, batch: int, vocab: int, device: torch.device
) -> None:
    """Check ids int32 [nnz] and offsets int64 [B + 1]; on the CPU their values too.

    Within a row ids are ascending, each once, in [0, V).
    """
    if not (isinstance(ids, Tensor) and ids.dtype == torch.int32 and ids.dim() == 1):
        got = f"{ids.dtype} {list(ids.shape)}" if isinstance(ids, Tensor) else repr(ids)
        raise ValueError(f"{function}: {name}.ids must be int32 [nnz], got {got}")
    if not (
        isinstance(offsets, Tensor)
        and offsets.dtype == torch.int64
        and offsets.shape == (batch + 1,)
    ):
        is_tensor = isinstance(offsets, Tensor)
        got = f"{offsets.dtype} {list(offsets.shape)}" if is_tensor else repr(offsets)
        raise ValueError(
            f"{function}: {name}.offsets must be int64 [B + 1] = [{batch + 1}], one row of {name} "
            f"for each result, got {got}"
        )
    for part, tensor in (("ids", ids), ("offsets", offsets)):
        if tensor.device != device:
            raise ValueError(
                f"{function}: {name}.{part} must be on the device of logits ({device}), got "
                f"{tensor.device}"
            )
    if ids.is_cpu and not torch.compiler.is_compiling():
        _check_values(function, name, ids, offsets, vocab)


def _check_values(function: str, name: str, ids: Tensor, offsets: Tensor, vocab: int) -> None:
    # numpy: a torch call costs more than all of this on a short row.
    starts, listed = offsets.numpy(), ids.numpy()
    lengths = starts[1:] - starts[:-1]
    if starts[0] != 0 or (lengths < 0).any() or starts[-1] > len(listed):
        raise ValueError(
            f"{function}: {name}.offsets must be ascending from 0 to nnz = {len(listed)} at most, "
            f"got {_shown(starts.tolist())}"
        )
    listed = listed[: starts[-1]]
    if len(listed) == 0:
        return
    if listed.min() < 0 or listed.max() >= vocab:
        got = int(listed.min()) if listed.min() < 0 else int(listed.max())
        raise ValueError(f"{function}: {name}.ids must be in [0, V) = [0, {vocab}), got {got}")
    falls = listed[1:] <= listed[:-1]
    first = starts[1:-1]  # where a row starts anything may follow
    falls[first[(first > 0) & (first < len(listed))] - 1] = False
    if falls.any():
        at = int(falls.argmax())
        raise ValueError(
            f"{function}: {name}.ids must be ascending within a row, each once, got "
            f"{listed[at]} before {listed[at + 1]}"
        )


def _shown(values: list[int]) -> str:
    return str(values if len(values) <= 8 else [*values[:7], "…", values[-1]])
