"""Declarations of the ops on log-weights [C, N]: schemas, shapes, default kernels."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aligndec.ops.types import Op
from aligndec.reference import imh_chain, imh_resample, smc_resample

__all__ = ["OPS"]


def _fake_chain(log_weight: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor]:
    index = log_weight.new_empty(log_weight.shape, dtype=torch.int64)
    return index, torch.empty_like(index, dtype=torch.bool), index.new_empty(index.shape[0])


def _fake_resample(
    log_weight: Tensor, values: Tensor, n_chains: int, *rest: Any
) -> tuple[Tensor, Tensor]:
    pools, columns = log_weight.shape[0], values.shape[2]
    mean = log_weight.new_empty((pools, n_chains, columns))
    return mean, mean.new_empty((pools, n_chains), dtype=torch.int64)


def _fake_smc_resample(log_weight: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    ancestor = log_weight.new_empty(log_weight.shape, dtype=torch.int64)
    ess = log_weight.new_empty(log_weight.shape[0])
    return ancestor, ess, torch.empty_like(ess), torch.empty_like(ess, dtype=torch.bool)


OPS = {
    "imh_chain": Op(
        "(Tensor log_weight, int seed, Tensor? sequence_ids, Tensor? uniforms) -> "
        "(Tensor index, Tensor accepted, Tensor count)",
        imh_chain,
        _fake_chain,
    ),
    "imh_resample": Op(
        "(Tensor log_weight, Tensor values, int n_chains, int n_steps, int burn_in, int seed) -> "
        "(Tensor mean, Tensor accepted)",
        imh_resample,
        _fake_resample,
    ),
    "smc_resample": Op(
        "(Tensor log_weight, float threshold, int scheme, int seed, Tensor? sequence_ids, "
        "int position, Tensor? positions, Tensor? uniforms) -> "
        "(Tensor ancestor, Tensor ess, Tensor log_mean, Tensor due)",
        smc_resample,
        _fake_smc_resample,
    ),
}
