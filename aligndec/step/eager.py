"""The same functions on the eager reference; `aligndec.reference` hands them on."""

from __future__ import annotations

from aligndec.ops import EAGER
from aligndec.step.frontend import Frontend

__all__ = ["kept_mask", "kept_sets", "sample", "sample_with_sets", "score", "score_grid"]

_frontend = Frontend(lambda: EAGER)
sample = _frontend.sample
score = _frontend.score
score_grid = _frontend.score_grid
kept_mask = _frontend.kept_mask
kept_sets = _frontend.kept_sets
sample_with_sets = _frontend.sample_with_sets
