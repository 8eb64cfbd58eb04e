"""Declarations of the ops behind Transfer Q*: schemas, shapes, default kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aligndec.ops.types import Op
from aligndec.reference import transfer_q as reference

__all__ = ["OPS"]


def _fake_candidates(logits: Tensor, k: int, valid_vocab: int) -> tuple[Tensor, Tensor, Tensor]:
    shape = (logits.shape[0], k)
    token = logits.new_empty(shape, dtype=torch.int64)
    return token, logits.new_empty(shape, dtype=torch.float64), token.new_empty(shape[0])


def _fake_value(rewards: Tensor, log_ratio: Any, mode: int) -> tuple[Tensor, Tensor, Tensor]:
    value, ess, log_c = (rewards.new_empty(rewards.shape[0]) for _ in range(3))
    return value, ess, log_c


def _fake_rescore(log_p: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    log_ref, log_alg, kl = (log_p.new_empty(log_p.shape[0]) for _ in range(3))
    return log_ref.new_empty(log_ref.shape, dtype=torch.int64), log_ref, log_alg, kl


def _fake_combined(logits: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    return logits[0].new_empty(logits[0].shape, dtype=torch.float64)


OPS = {
    "candidates": Op(
        "(Tensor logits, int k, int valid_vocab) -> (Tensor token, Tensor log_p, Tensor status)",
        reference.candidates,
        _fake_candidates,
    ),
    "segment_value": Op(
        "(Tensor rewards, Tensor? log_ratio, int mode) -> (Tensor value, Tensor ess, Tensor log_c)",
        reference.segment_value,
        _fake_value,
    ),
    "rescore": Op(
        "(Tensor log_p, Tensor value, Tensor alpha, bool greedy, int seed, Tensor? sequence_ids, "
        "int position, Tensor? positions, Tensor? uniforms) -> "
        "(Tensor index, Tensor log_ref, Tensor log_alg, Tensor kl)",
        reference.rescore,
        _fake_rescore,
    ),
    "combine_logits": Op(
        "(Tensor[] logits, float[] weights) -> Tensor",
        reference.combine_logits,
        _fake_combined,
    ),
}
