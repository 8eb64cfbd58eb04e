"""The specification: every op in eager PyTorch.

For float32, float16 and bfloat16 logits the integers that decide (sets, draws, masses) are those
of the compiled kernels, bit for bit. float64 logits are taken too, with float64 weights: the
oracle of exact enumerations, differentiable to machine precision. Not meant to be fast.
"""

from __future__ import annotations

import torch

from aligndec import _tq_reference
from aligndec._adaptor_reference import (
    adaptor_grid,
    adaptor_mask,
    adaptor_score,
    adaptor_score_backward,
    adaptor_step,
    differentiable_score,
)
from aligndec._attention_reference import branched_attention
from aligndec._frontend import Frontend
from aligndec._imh_reference import imh_chain, imh_resample
from aligndec._op_types import Ops
from aligndec._smc_reference import smc_resample
from aligndec._tilt_reference import tilt_solve, tilt_stats
from aligndec._tq_reference import combine_logits
from aligndec._tq_steps import Steps

__all__ = [
    "adaptor_grid",
    "adaptor_mask",
    "adaptor_score",
    "adaptor_score_backward",
    "adaptor_step",
    "branched_attention",
    "candidates",
    "combine_logits",
    "imh_chain",
    "imh_resample",
    "kept_mask",
    "rescore",
    "sample",
    "score",
    "score_grid",
    "smc_resample",
    "tilt_solve",
    "tilt_stats",
    "value",
]

ops = Ops(
    adaptor_step=adaptor_step,
    adaptor_score=differentiable_score,
    adaptor_grid=adaptor_grid,
    adaptor_mask=adaptor_mask,
    imh_chain=imh_chain,
    candidates=_tq_reference.candidates,
    segment_value=_tq_reference.segment_value,
    rescore=_tq_reference.rescore,
    combine_logits=combine_logits,
    imh_resample=imh_resample,
    tilt_stats=tilt_stats,
    tilt_solve=tilt_solve,
    branched_attention=branched_attention,
    smc_resample=smc_resample,
    dtypes=(torch.float32, torch.float16, torch.bfloat16, torch.float64),
)
"""The functions above as the public functions use them."""

_frontend = Frontend(lambda: ops)
sample = _frontend.sample
score = _frontend.score
score_grid = _frontend.score_grid
kept_mask = _frontend.kept_mask
_steps = Steps(lambda: ops)
candidates = _steps.candidates
value = _steps.value
rescore = _steps.rescore
