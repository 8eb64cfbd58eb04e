"""Which tokens of a row exist, and what they weigh: integers for float32, float64 as oracle.

Weights are relative to the largest logit of the row. float32 and half logits give integers in
units of 2^-43 (semantics, section 2.1), so that every sum is exact in any order; a sum may reach
2^63 and is then read as unsigned. float64 logits give float64 weights in units of 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from aligndec.reference import exact
from aligndec.shared import dense

__all__ = [
    "Law",
    "Rows",
    "Sparse",
    "edit_rows",
    "less",
    "log_mass",
    "read_rows",
    "real",
    "sparse",
    "unsigned",
    "weigh",
]

Sparse = tuple[Tensor, Tensor, Tensor]
"""Rows in compressed form: ids int32 [nnz], offsets int64 [R + 1], and what they carry."""

_UNIT = 2.0**-43
_LOWEST_GAP = -131072.0
_LOWEST_LOGIT = -60.0


def sparse(ids: Tensor | None, offsets: Tensor | None, carried: Tensor | None) -> Sparse | None:
    """Return the three tensors of sparse rows as one; None when they are absent."""
    if ids is None or offsets is None or carried is None:
        return None
    return ids, offsets, carried


class Rows(NamedTuple):
    """Logits as they are read.

    `x` [R, V] float32 or float64, 0 where no token exists; `exists` bool [R, V]; `top` [R, 1]
    the largest logit; `bad` int64 [R]: 0, or 1 (NaN, +inf) or 2 (no token), and then no token
    exists.
    """

    x: Tensor
    exists: Tensor
    top: Tensor
    bad: Tensor

    @property
    def exact(self) -> bool:
        """Whether weights are integers."""
        return self.x.dtype == torch.float32


class Law(NamedTuple):
    """Weights W_i and surprises E_i = −W_i t_i of one law [R, V], 0 where no token exists."""

    weight: Tensor
    surprise: Tensor

    def sums(self, keep: Tensor) -> tuple[Tensor, Tensor]:
        """ΣW and ΣE over the kept tokens, [R, 1], in the units of the weights."""
        weight = torch.where(keep, self.weight, 0).sum(1, keepdim=True)
        return weight, torch.where(keep, self.surprise, 0).sum(1, keepdim=True)


def real(mass: Tensor) -> Tensor:
    """Return a sum of weights as float64, in its own units (2^63 is read as unsigned)."""
    return mass.double().abs()


def log_mass(mass: Tensor) -> Tensor:
    """Return ln of a sum of weights, the unit taken out."""
    return exact.log(real(mass) * (1.0 if mass.is_floating_point() else _UNIT))


def unsigned(mass: Tensor) -> list[int]:
    """Return sums of weights as Python integers."""
    return [value & (2**64 - 1) for value in mass.reshape(-1).tolist()]


def less(a: Tensor, b: Tensor) -> Tensor:
    """Return a < b of two sums of weights."""
    if a.is_floating_point():
        return a < b
    smallest = -(2**63)
    return (a ^ smallest) < (b ^ smallest)


def _existing(shape: torch.Size, allowed: Tensor | None, valid_vocab: int, like: Tensor) -> Tensor:
    """Ids that may exist, bool [R, V]: id < valid_vocab and allowed (bool or int32 bit mask)."""
    ids = torch.arange(shape[1], device=like.device)
    live = (ids < valid_vocab).expand(shape)
    if allowed is None:
        return live
    if allowed.dtype != torch.bool:
        allowed = ((allowed[:, ids >> 5] >> (ids & 31)) & 1).bool()
    return live & allowed


def read_rows(logits: Tensor, allowed: Tensor | None, valid_vocab: int) -> Rows:
    """Read logits: convert half types, turn −0 into +0, find the maximum and the bad rows."""
    x = logits if logits.dtype == torch.float64 else logits.float()
    return _rows(x, _existing(x.shape, allowed, valid_vocab, x))


def edit_rows(rows: Rows, bias: Sparse | None) -> Rows:
    """Add a sparse bias (ids, offsets, values) to the existing tokens: z = x + b, one addition.

    −inf takes a token out; a row that is left without any has `bad` 2.
    """
    if bias is None:
        return rows
    ids, offsets, values = bias
    b = dense(ids, offsets, values, rows.x.shape[1]).to(rows.x.dtype)
    return _rows(rows.x + b, rows.exists)


def _rows(x: Tensor, live: Tensor) -> Rows:
    broken = (live & (x.isnan() | (x == torch.inf))).any(1)
    exists = live & x.isfinite() & ~broken[:, None]
    bad = torch.where(broken, 1, torch.where(exists.any(1), 0, 2))
    x = torch.where(exists, x, 0.0) + 0.0
    top = torch.where(exists, x, -torch.inf).amax(1, keepdim=True)
    return Rows(x, exists, torch.where(top.isfinite(), top, 0.0), bad)


def weigh(rows: Rows, pivot: Tensor, params: Tensor | None) -> Law:
    """Weights w = exp((x − pivot)/τ) of the existing tokens, and −w ln w.

    Parameters
    ----------
    rows : Rows
        The logits.
    pivot : Tensor
        [R, 1], the logit of weight 1.
    params : Tensor or None
        float64 [R, COLUMNS] for the law at temperature τ; None for τ = 1.
    """
    gap = torch.where(rows.exists, rows.x - pivot, 0.0)
    if not rows.exact:
        t = gap if params is None else gap / _divisor(params)
        w = torch.where(rows.exists, t.exp(), 0.0)
        return Law(w, -w * t)
    t = gap.clamp(min=_LOWEST_GAP)
    if params is not None:
        high, low = params[:, 1:2].float(), params[:, 2:3].float()
        t = torch.where(params[:, 0:1] == 1.0, t, exact.fma32(t, high, t * low))
    # Tokens above the pivot are not of the set that is weighed; keep them in exp32's range.
    t = t.clamp(min=_LOWEST_LOGIT, max=0.0)
    w = torch.where(rows.exists, exact.exp32(t), 0.0).double()
    return Law(_fixed(w), _fixed(-w * t.double()))


def _divisor(params: Tensor) -> Tensor:
    """τ as [R, 1], with 1 for greedy rows."""
    tau = params[:, 0:1]
    return torch.where(tau == 0.0, 1.0, tau)


def _fixed(value: Tensor) -> Tensor:
    """RNE(value · 2^43)."""
    return (value * 2.0**43).round().long()
