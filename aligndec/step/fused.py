"""The public functions of the fused step, on the kernels in use."""

from __future__ import annotations

from aligndec.ops import current_ops
from aligndec.step.frontend import Frontend

__all__ = ["kept_mask", "kept_sets", "sample", "sample_with_sets", "score", "score_grid"]

_frontend = Frontend(current_ops)
sample = _frontend.sample
score = _frontend.score
score_grid = _frontend.score_grid
kept_mask = _frontend.kept_mask
kept_sets = _frontend.kept_sets
sample_with_sets = _frontend.sample_with_sets
