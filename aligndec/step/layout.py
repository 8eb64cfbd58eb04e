"""Leading dimensions: from logits [..., V] to the [R, V] views that the ops read, uncopied."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Piece", "broadcast", "joined", "pieces"]


class Piece(NamedTuple):
    """A view `logits` [R, V], its mask [1 | R, ·] or None, and `rows` int64 [N].

    `rows` names the row of each of the `size` results; None: result n is on row n.
    """

    logits: Tensor
    allowed: Tensor | None
    rows: Tensor | None
    size: int


def pieces(
    logits: Tensor, allowed: Tensor | None, shape: Sequence[int], *, share: bool
) -> list[Piece]:
    """Cover results of shape [...] in row-major order by views of the logits.

    One piece where the leading strides allow it, else one per index of the first dimension.

    Parameters
    ----------
    logits : Tensor
        [..., V], leading dimensions broadcast to `shape`.
    allowed : Tensor or None
        [..., V] or [..., ceil(V/32)], leading dimensions broadcast to `shape`.
    shape : sequence of int
        Of the results.
    share : bool
        Read a broadcast row once and refer to it by `rows`; False repeats it with stride 0.
    """
    logits = logits[(None,) * (len(shape) + 1 - logits.dim())]
    if allowed is not None:
        allowed = allowed[(None,) * (len(shape) + 1 - allowed.dim())]
    mask_lead = (1,) * len(shape) if allowed is None else allowed.shape[:-1]
    if share:
        lead = broadcast(logits.shape[:-1], mask_lead)
    else:
        lead = tuple(shape)
    logits = logits.expand(*lead, logits.shape[-1])
    if share:
        for i, varies in enumerate(mask_lead):
            if logits.stride(i) == 0 and varies == 1 and logits.shape[i] > 1:
                logits = logits.narrow(i, 0, 1)
    return _cover(logits, allowed, tuple(shape))


def broadcast(a: Sequence[int], b: Sequence[int]) -> tuple[int, ...]:
    """Shape to which both broadcast; RuntimeError when there is none."""
    return tuple(torch.broadcast_shapes(tuple(a), tuple(b)))  # type: ignore[no-untyped-call]


def _cover(logits: Tensor, allowed: Tensor | None, shape: tuple[int, ...]) -> list[Piece]:
    lead, vocab = logits.shape[:-1], logits.shape[-1]
    if _is_matrix(logits):
        flat = logits.reshape(-1, vocab)
        rows = None
        if lead != shape:
            index = torch.arange(flat.shape[0], device=logits.device)
            rows = index.reshape(lead).expand(shape).reshape(-1).contiguous()
        if allowed is not None:
            words = allowed.shape[-1]
            same = all(n == 1 for n in allowed.shape[:-1])
            allowed = allowed.expand(*((1,) if same else lead), words).reshape(-1, words)
        size = flat.shape[0] if rows is None else rows.shape[0]
        return [Piece(flat, allowed, rows, size)]
    parts = []
    for i, part in enumerate(logits.unbind(0)):
        mask = None if allowed is None else allowed[i if allowed.shape[0] > 1 else 0]
        parts += _cover(part, mask, shape[1:])
    # One row of logits for several results of this dimension.
    return parts * (shape[0] if lead[0] == 1 else 1)


def _is_matrix(logits: Tensor) -> bool:
    """Whether all leading dimensions merge into one stride."""
    dims = [(n, s) for n, s in zip(logits.shape[:-1], logits.stride()[:-1], strict=True) if n != 1]
    if any(n == 0 for n, _ in dims):
        return True
    return all(s == n2 * s2 for (_, s), (n2, s2) in pairwise(dims))


def joined(parts: Sequence[Tensor], dim: int) -> Tensor:
    """Concatenate; one part stays as it is, which saves a copy (and on a GPU a launch)."""
    return parts[0] if len(parts) == 1 else torch.cat(list(parts), dim)
