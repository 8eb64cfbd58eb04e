"""Attention of rows that continue a few common prefixes, in torch's products of matrices."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Branches", "attend", "branched_attention"]


@dataclass(frozen=True)
class Branches:
    """Row i continues prefix `owner[i]` of b; up to `width` rows continue the same one.

    `place[i]` is the row's place in a table [b · width]; None: rows and places are the same. Rows
    `order[start[j]:start[j + 1]]` continue prefix j.
    """

    b: int
    owner: Tensor
    place: Tensor | None
    width: int
    order: Tensor
    start: Tensor

    @classmethod
    def of(cls, owner: Tensor, b: int) -> Branches:
        """Count the rows of each prefix; `owner` is int64 [rows], in any order."""
        order, count = owner.argsort(stable=True), owner.bincount(minlength=b)
        start = torch.nn.functional.pad(count.cumsum(0), (1, 0))
        rank = torch.empty_like(owner)
        rank[order] = torch.arange(len(owner), device=owner.device) - start[owner[order]]
        width = int(count.max())
        place = owner * width + rank
        same = torch.equal(place, torch.arange(b * width, device=owner.device))
        return cls(b, owner, None if same else place, width, order, start)

    def together(self, x: Tensor) -> Tensor:
        """[rows, h, m, n] as [b, h, width · m, n]; places without a row hold 0."""
        _, h, m, n = x.shape
        if self.place is not None:
            table = x.new_zeros(self.b * self.width, h, m, n)
            table[self.place.to(x.device)] = x
            x = table
        return x.view(self.b, self.width, h, m, n).transpose(1, 2).flatten(2, 3)

    def apart(self, x: Tensor) -> Tensor:
        """Undo `together`."""
        b, h, wide, n = x.shape
        table = x.view(b, h, self.width, wide // self.width, n).transpose(1, 2).flatten(0, 1)
        return table if self.place is None else table[self.place.to(x.device)]


def attend(
    branches: Branches,
    prefix: tuple[Tensor, Tensor],
    own: tuple[Tensor, Tensor],
    query: Tensor,
    mask: Tensor | None,
    scale: float,
) -> Tensor:
    """softmax(query · keysᵀ · scale + mask) · values, where keys are a prefix's and the row's own.

    All queries of one prefix are multiplied with it at once. One softmax, in float32 at least.

    Parameters
    ----------
    prefix : tuple of Tensor
        Keys [b, h, P, D] and values [b, h, P, E].
    own : tuple of Tensor
        Keys [rows, h, n, D] and values [rows, h, n, E].
    query : Tensor
        [rows, heads, L, D], heads a multiple of h.
    mask : Tensor, optional
        bool or additive, [rows or 1, heads or 1, L or 1, P + n].
    scale : float
        1/√D as a rule.

    Returns
    -------
    Tensor
        [rows, heads, L, E]; 0 where a query may see nothing, as in torch's attention.
    """
    rows, heads, length, width = query.shape
    h, columns = own[0].shape[1], prefix[0].shape[-2] + own[0].shape[-2]
    asked = heads // h * length
    query = (query * scale).reshape(rows, h, asked, width)
    on_prefix = branches.apart(branches.together(query) @ prefix[0].mT)
    scores = torch.cat([on_prefix, query @ own[0].mT], -1).view(rows, heads, length, columns)
    if mask is not None and mask.dtype == torch.bool:
        scores = scores.masked_fill(~mask, -torch.inf)
    elif mask is not None:
        scores = scores + mask
    exact = torch.promote_types(query.dtype, torch.float32)
    nothing = (scores == -torch.inf).all(-1, keepdim=True)  # an average of nothing is 0
    weights = scores.masked_fill(nothing, 0.0).softmax(-1, dtype=exact).masked_fill(nothing, 0.0)
    weights = weights.to(query.dtype).view(rows, h, asked, columns)
    on_prefix, on_own = weights.tensor_split((prefix[0].shape[-2],), -1)
    out: Tensor = branches.apart(branches.together(on_prefix) @ prefix[1]) + on_own @ own[1]
    # A table of one prefix is no contiguous one.
    return out.reshape(rows, heads, length, own[1].shape[-1])


def branched_attention(
    query: Tensor,
    prefix_keys: Tensor,
    prefix_values: Tensor,
    keys: Tensor,
    values: Tensor,
    order: Tensor,
    start: Tensor,
    mask: Tensor | None,
    scale: float,
) -> Tensor:
    """Compute `attend` for branches given by `order` and `start`: the op of that name."""
    owner = torch.empty_like(order)
    owner[order] = torch.arange(len(start) - 1, device=order.device).repeat_interleave(start.diff())
    branches = Branches.of(owner, len(start) - 1)
    own = keys, values
    return attend(branches, (prefix_keys, prefix_values), own, query, mask, scale)
