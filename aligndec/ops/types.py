"""What an op is declared with, and the table of those that the public functions call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["Op", "Ops"]


class Op(NamedTuple):
    """Schema without the name, default kernel (the eager reference) and fake kernel (shapes)."""

    schema: str
    default: Callable[..., Any]
    fake: Callable[..., Any]


class Ops(NamedTuple):
    """The implementations behind the public functions by name, and the logits that they take."""

    adaptor_step: Callable[..., Any]
    adaptor_score: Callable[..., Any]
    adaptor_grid: Callable[..., Any]
    adaptor_mask: Callable[..., Tensor]
    adaptor_sets: Callable[..., tuple[Tensor, Tensor, Tensor]]
    adaptor_step_sets: Callable[..., tuple[Tensor, ...]]
    imh_chain: Callable[..., tuple[Tensor, Tensor, Tensor]]
    candidates: Callable[..., tuple[Tensor, Tensor, Tensor]]
    segment_value: Callable[..., tuple[Tensor, Tensor, Tensor]]
    rescore: Callable[..., tuple[Tensor, Tensor, Tensor, Tensor]]
    combine_logits: Callable[..., Tensor]
    tilt_stats: Callable[..., Tensor]
    tilt_solve: Callable[..., tuple[Tensor, Tensor]]
    imh_resample: Callable[..., tuple[Tensor, Tensor]]
    branched_attention: Callable[..., Tensor]
    smc_resample: Callable[..., tuple[Tensor, Tensor, Tensor, Tensor]]
    dtypes: tuple[torch.dtype, ...] = (torch.float32, torch.float16, torch.bfloat16)
