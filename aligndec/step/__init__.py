"""The fused step: one read of the logits, one token per row, exact books.

`sample` draws, `score` reports given tokens, `score_grid` does so under many adaptors, `kept_mask`
returns the kept set. The same functions over the eager reference are in `aligndec.reference`.
"""

from aligndec.step import checks
from aligndec.step.adaptors import FIELDS, Adaptor, Field
from aligndec.step.fused import kept_mask, sample, score, score_grid
from aligndec.step.packed import PackedAdaptors, pack, row_of, rows_of
from aligndec.step.params import adaptor_params
from aligndec.step.state import SUMS, SequenceState
from aligndec.step.types import AnyAdaptor, BadLogitsError, Step
from aligndec.step.xtc import has_xtc, xtc_coin

__all__ = [
    "FIELDS",
    "SUMS",
    "Adaptor",
    "AnyAdaptor",
    "BadLogitsError",
    "Field",
    "PackedAdaptors",
    "SequenceState",
    "Step",
    "adaptor_params",
    "checks",
    "has_xtc",
    "kept_mask",
    "pack",
    "row_of",
    "rows_of",
    "sample",
    "score",
    "score_grid",
    "xtc_coin",
]
