"""Declarations of the tilting ops on rows [R, V]: schemas, shapes, default kernels."""

from __future__ import annotations

import torch
from torch import Tensor

from aligndec.ops.types import Op
from aligndec.reference import tilt_solve, tilt_stats

__all__ = ["OPS"]


def _fake_stats(log_p: Tensor | None, r: Tensor, beta: Tensor) -> Tensor:
    return beta.new_empty((5, *beta.shape))


def _fake_solve(
    log_p: Tensor | None, r: Tensor, target: Tensor, kind: int, shared: bool
) -> tuple[Tensor, Tensor]:
    values = target.new_empty((4, r.shape[0], target.shape[1]))
    return values, torch.empty_like(values, dtype=torch.int64)


OPS = {
    "tilt_stats": Op("(Tensor? log_p, Tensor r, Tensor beta) -> Tensor", tilt_stats, _fake_stats),
    "tilt_solve": Op(
        "(Tensor? log_p, Tensor r, Tensor target, int kind, bool shared) -> "
        "(Tensor values, Tensor flags)",
        tilt_solve,
        _fake_solve,
    ),
}
