"""The fused step: one read of the logits, one token per row, exact books.

`sample` draws, `score` reports given tokens, `score_grid` does so under many adaptors, `kept_mask`
returns the kept set; `kept_sets` and `sample_with_sets` return it as sparse rows, which `score` and
`sample` take in again. The same functions over the eager reference are in `aligndec.reference`.
"""

from __future__ import annotations

from aligndec._bias import LogitBias
from aligndec._frontend import Frontend
from aligndec._sets import KeptSets
from aligndec._step_types import Step
from aligndec.backend import current_ops

__all__ = [
    "KeptSets",
    "LogitBias",
    "Step",
    "kept_mask",
    "kept_sets",
    "sample",
    "sample_with_sets",
    "score",
    "score_grid",
]

_frontend = Frontend(current_ops)
sample = _frontend.sample
score = _frontend.score
score_grid = _frontend.score_grid
kept_mask = _frontend.kept_mask
kept_sets = _frontend.kept_sets
sample_with_sets = _frontend.sample_with_sets
