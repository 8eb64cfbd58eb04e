"""Arithmetic on the logits of several models: products of experts, proxy tuning, contrast."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aligndec.ops import current_ops
from aligndec.shared import on_device
from aligndec.step import Adaptor, AnyAdaptor, Step, sample
from aligndec.step import checks as check

__all__ = ["combine_logits", "sample_combined"]


def combine_logits(logits: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Combine the laws of several models: ln softmax(Σ_m w_m ln softmax(l_m)).

    Weights (1, 1, −1) are emulated fine-tuning and proxy tuning, (1, −1) contrastive decoding,
    (λ, 1 − λ) a geometric mixture.

    Parameters
    ----------
    logits : sequence of M Tensors
        [B, V] each, float32, float16 or bfloat16, one vocabulary, one device.
    weights : sequence of M floats
        Finite, any sign.

    Returns
    -------
    Tensor
        float64 [B, V], normalised: its exponentials sum to 1. −inf where a model of positive
        weight has −inf.

    Raises
    ------
    ValueError
        Rows without a law: NaN, no token left, or a token that only a model of negative weight
        rules out (its weight would be infinite).

    References
    ----------
    Mitchell et al. 2023 (emulated fine-tuning); Liu et al. 2024 (proxy tuning); Li et al. 2023
    (contrastive decoding); Liu et al. 2021 (DExperts).
    """
    tensors, numbers = _checked("transfer_q.combine_logits", logits, weights)
    out: Tensor = current_ops().combine_logits(tensors, numbers)
    if out.is_cpu and out.numel() > 0 and not torch.compiler.is_compiling():
        # A row is NaN as a whole or not at all.
        bad = out[:, 0].isnan()
        if bool(bad.any()):
            raise ValueError(
                "transfer_q.combine_logits: logits must leave a law in every row, got NaN, +inf or "
                f"no token in rows {bad.nonzero()[:8, 0].tolist()}"
            )
    return out


def sample_combined(
    logits: Sequence[Tensor],
    weights: Sequence[float],
    adaptor: AnyAdaptor = Adaptor(),
    **options: Any,
) -> Step:
    """Draw a token per row from the combined law, adapted.

    Parameters
    ----------
    logits, weights
        As in `combine_logits`.
    adaptor : Adaptor, sequence of B Adaptors, or PackedAdaptors
        Adapts the combined law.
    **options
        As in `aligndec.sample`.

    Returns
    -------
    Step
        `log_p` is that of the combined law.
    """
    law = combine_logits(logits, weights)
    # Relative to the maximum, where float32 is finest.
    return sample((law - law.amax(1, keepdim=True)).float(), adaptor, **options)


def _checked(
    function: str, logits: Sequence[Tensor], weights: Sequence[float]
) -> tuple[list[Tensor], list[float]]:
    tensors = list(logits)
    numbers = [float(w) for w in weights]
    if not tensors or len(tensors) != len(numbers):
        raise ValueError(
            f"{function}: logits and weights must be M >= 1 each, got {len(tensors)} and "
            f"{len(numbers)}"
        )
    if not all(math.isfinite(w) for w in numbers) or not any(numbers):
        raise ValueError(f"{function}: weights must be finite and not all 0, got {numbers}")
    for x in tensors:
        check.logits_of(function, x, current_ops().dtypes, True)
        if x.shape != tensors[0].shape:
            raise ValueError(
                f"{function}: logits must be of one shape [B, V], got "
                f"{[list(t.shape) for t in tensors]}"
            )
        on_device(function, "logits", x, tensors[0].device)
    return [x.detach() for x in tensors], numbers
