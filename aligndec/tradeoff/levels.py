"""Pearson's and Spearman's coefficients of grouped columns, and their bootstrap interval.

All groups at once: columns are float64 [2 | 3, N], the third one held fixed; labels 0 … S − 1.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["fisher_interval", "levels"]

_ROUNDING = 1e-10


def levels(columns: Tensor, labels: Tensor, schemes: int, copies: int = 1) -> Tensor:
    """Coefficients of the levels, float64 [copies, S + 3, 2]: string, within, between, pooled.

    The N rows are `copies` samples of equal size, one after the other, with every scheme in each.
    """
    copy = torch.arange(copies, device=labels.device)
    sample = copy.repeat_interleave(len(labels) // copies)
    cell = sample * schemes + labels
    deviation, centres = _centred(columns, cell, copies * schemes)
    return torch.cat(
        [
            _coefficients(columns, sample, copies)[:, None],
            _coefficients(columns, cell, copies * schemes).view(copies, schemes, 2),
            _coefficients(centres, copy.repeat_interleave(schemes), copies)[:, None],
            _coefficients(deviation, sample, copies)[:, None],
        ],
        1,
    )


def fisher_interval(found: Tensor, replicates: Tensor, level: float) -> Tensor:
    """Return the basic bootstrap interval of coefficients [...] from replicates [B, ...].

    Float64 [..., 2], on Fisher's scale, where it stays inside [−1, 1]. Resampled centres carry
    their noise twice, which pulls their correlation towards 0; the basic interval, unlike the
    percentile interval, takes that back.
    """
    tail = (1.0 - level) / 2.0
    points = torch.tensor([1.0 - tail, tail], dtype=torch.float64, device=found.device)
    scale = 1.0 - torch.finfo(torch.float64).eps  # a perfect correlation stays finite
    # A replicate without spread has no coefficient and does not count.
    ends = (replicates * scale).atanh().nanquantile(points, 0)
    return (2.0 * (found * scale).atanh() - ends).tanh().movedim(0, -1)


def _coefficients(columns: Tensor, labels: Tensor, groups: int) -> Tensor:
    """Pearson's and Spearman's coefficient inside each group, [groups, 2]."""
    ranks = torch.stack([_ranks(column, labels) for column in columns])
    return torch.stack([_pearson(c, labels, groups) for c in (columns, ranks)], 1)


def _centred(columns: Tensor, labels: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Deviations from the means of the groups [C, N], and the means [C, groups]."""
    # Relative to one of its own values, a constant group has deviations of exactly 0.
    member = torch.zeros(groups, dtype=torch.int64, device=labels.device)
    member.scatter_(0, labels, torch.arange(len(labels), device=labels.device))
    origin = columns[:, member]
    shifted = columns - origin[:, labels]
    offset = _sums(shifted, labels, groups) / labels.bincount(minlength=groups)
    return shifted - offset[:, labels], origin + offset


def _sums(columns: Tensor, labels: Tensor, groups: int) -> Tensor:
    return columns.new_zeros(len(columns), groups).index_add(1, labels, columns)


def _pearson(columns: Tensor, labels: Tensor, groups: int) -> Tensor:
    pair = _centred(columns, labels, groups)[0]
    if len(columns) == 3:
        third = pair[2]
        pair = pair[:2]
        power = _sums(torch.cat([pair * third, third[None] ** 2]), labels, groups)
        slope = torch.where(power[2] > 0, power[:2] / power[2], 0.0)
        rest = pair - slope[:, labels] * third
        # What the length explains entirely leaves rounding errors, which correlate with anything.
        squares = _sums(torch.cat([rest, pair]) ** 2, labels, groups)
        pair = rest * (squares[:2] > _ROUNDING**2 * squares[2:])[:, labels]
    xy, xx, yy = _sums(torch.stack([pair[0] * pair[1], *pair**2]), labels, groups)
    coefficient: Tensor = xy / (xx * yy).sqrt()
    return coefficient.clamp(-1.0, 1.0)


def _ranks(x: Tensor, labels: Tensor) -> Tensor:
    """Rank values inside their group; equal ones share their mean rank. Up to a constant each."""
    order = x.argsort(stable=True)
    order = order[labels[order].argsort(stable=True)]
    value, group = x[order], labels[order]
    other = (value[1:] != value[:-1]) | (group[1:] != group[:-1])
    counts = torch.nn.functional.pad(other, (1, 0)).cumsum(0).bincount()
    rank = (counts.cumsum(0) - (counts - 1) / 2.0).repeat_interleave(counts)
    return torch.empty_like(x).scatter_(0, order, rank.to(x))
