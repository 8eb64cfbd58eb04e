"""The stages whose sums pass 64 bits: p_less (powers of the weights) and top_h (entropy terms)."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from aligndec.reference import exact
from aligndec.reference.weights import Law, real

__all__ = ["kept_by_entropy", "log_powers"]

_UNIT = 2.0**-43


def log_powers(law: Law, keep: Tensor, order: Tensor) -> Tensor:
    """Return ln Σ w^k over the kept tokens, [R, 1].

    Parameters
    ----------
    law : Law
        Weights [R, V].
    keep : Tensor
        bool [R, V].
    order : Tensor
        k, float64 [R, 1]. 2: the sum of the squares of the integers, exact. Others: powers by
        `exp64(k ln w)`, added in the order of ids.
    """
    weight = torch.where(keep, law.weight, 0)
    if weight.is_floating_point():
        return weight.pow(order).sum(1, keepdim=True).log()
    ln_w = exact.log(real(weight) * _UNIT)
    powers = torch.where(weight == 0, 0.0, exact.exp64((order * ln_w).clamp(min=-1e4)))
    total = powers.cumsum(1)[:, -1:]
    squares = [_double(sum(w * w for w in row if w)) * 2.0**-86 for row in weight.tolist()]
    sums = torch.tensor(squares, dtype=torch.float64, device=weight.device).reshape(-1, 1)
    return exact.log(torch.where(order == 2.0, sums, total))


def _double(value: int) -> float:
    """Round the two 64-bit words of a sum to float64, as the kernels do."""
    return float(value >> 64) * 2.0**64 + float(value & (2**64 - 1))


def kept_by_entropy(law: Law, keep: Tensor, x: Tensor, share: Tensor) -> Tensor:
    """Return the descending prefix whose part of the entropy is at most `share` of it, [R, V].

    Integers: Σ (E_j + W_j ℓ) ≤ floor(share · T) with ℓ = ln ΣW to 43 fractional bits and T the sum
    over all kept tokens; each term at least 0 (where ℓ < 0, rounding could make one negative);
    equal logits go together; the first always stay.

    Parameters
    ----------
    law : Law
        Weights and surprises [R, V].
    keep : Tensor
        bool [R, V].
    x : Tensor
        Logits, float64 [R, V].
    share : Tensor
        top_h, float64 [R, 1].
    """
    tensors = (keep, x, law.weight, law.surprise)
    rows = zip(*(t.tolist() for t in tensors), share[:, 0].tolist(), strict=True)
    kept = [_prefix(*row) for row in rows]
    return torch.tensor(kept, dtype=torch.bool, device=keep.device).reshape(keep.shape)


def _prefix(
    keep: list[bool], x: list[float], weight: list[Any], surprise: list[Any], share: float
) -> list[bool]:
    """One row; weights and surprises are int, or float for float64 logits."""
    alive = sorted((i for i, k in enumerate(keep) if k), key=lambda i: -x[i])
    if share >= 1.0 or not alive:
        return keep
    total = sum(weight[i] for i in alive)
    if isinstance(total, int):
        ell: float = round(_ln(total * _UNIT) * 2**43)
        term = {i: max((surprise[i] << 43) + weight[i] * ell, 0) for i in alive}
        numerator, denominator = share.as_integer_ratio()
        limit: float = numerator * sum(term.values()) // denominator
    else:
        ell = _ln(total)
        term = {i: surprise[i] + weight[i] * ell for i in alive}
        limit = share * sum(term.values())
    kept, before = [False] * len(keep), 0
    for first, (_, group) in enumerate(groupby(alive, key=x.__getitem__)):
        ids = list(group)
        before += sum(term[i] for i in ids)
        if before > limit and first > 0:
            break
        for i in ids:
            kept[i] = True
    return kept


def _ln(value: float) -> float:
    return float(exact.log(torch.tensor(float(value), dtype=torch.float64)))
