"""The fused step: one read of the logits, one token per row, exact books.

`sample` draws, `score` reports given tokens, `score_grid` does so under many adaptors, `kept_mask`
returns the kept set; `kept_sets` and `sample_with_sets` return it as sparse rows, which `score` and
`sample` take in again. The same functions over the eager reference are in `aligndec.reference`.
"""

from aligndec.step import checks
from aligndec.step.adaptors import FIELDS, Adaptor, Field
from aligndec.step.bias import LogitBias
from aligndec.step.fused import (
    kept_mask,
    kept_sets,
    sample,
    sample_with_sets,
    score,
    score_grid,
)
from aligndec.step.given import given_args
from aligndec.step.hidden import score_hidden
from aligndec.step.packed import PackedAdaptors, pack, row_of, rows_of
from aligndec.step.params import adaptor_params
from aligndec.step.penalised import RunningPenalties, penalties
from aligndec.step.penalties import Penalties
from aligndec.step.sets import KeptSets
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
    "KeptSets",
    "LogitBias",
    "PackedAdaptors",
    "Penalties",
    "RunningPenalties",
    "SequenceState",
    "Step",
    "adaptor_params",
    "checks",
    "given_args",
    "has_xtc",
    "kept_mask",
    "kept_sets",
    "pack",
    "penalties",
    "row_of",
    "rows_of",
    "sample",
    "sample_with_sets",
    "score",
    "score_grid",
    "score_hidden",
    "xtc_coin",
]
