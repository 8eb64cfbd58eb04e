"""The eager reference as a table of ops."""

from __future__ import annotations

import torch

from aligndec import reference
from aligndec.ops.types import Ops

__all__ = ["EAGER"]

EAGER = Ops(
    adaptor_step=reference.adaptor_step,
    adaptor_score=reference.differentiable_score,
    adaptor_grid=reference.adaptor_grid,
    adaptor_mask=reference.adaptor_mask,
    adaptor_sets=reference.adaptor_sets,
    adaptor_step_sets=reference.adaptor_step_sets,
    imh_chain=reference.imh_chain,
    candidates=reference.transfer_q.candidates,
    segment_value=reference.transfer_q.segment_value,
    rescore=reference.transfer_q.rescore,
    combine_logits=reference.combine_logits,
    imh_resample=reference.imh_resample,
    tilt_stats=reference.tilt_stats,
    tilt_solve=reference.tilt_solve,
    branched_attention=reference.branched_attention,
    smc_resample=reference.smc_resample,
    dtypes=(torch.float32, torch.float16, torch.bfloat16, torch.float64),
)
"""What the public functions call under `use_backend("reference")`; takes float64 logits too."""
