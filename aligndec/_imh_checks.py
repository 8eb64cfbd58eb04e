"""Argument checks of the chains."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aligndec import _checks as check

__all__ = ["log_weights", "with_uniforms"]


def log_weights(function: str, value: Any) -> Tensor:
    """Check [..., N >= 1] without NaN and +inf; return float64 without a gradient."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        got = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise TypeError(f"{function}: log_weight must be a floating-point Tensor, got {got}")
    if value.dim() == 0 or value.shape[-1] == 0:
        raise ValueError(
            f"{function}: log_weight must be [..., N] with N >= 1, got {list(value.shape)}"
        )
    weight = value.detach().double()
    if weight.numel() > 0 and not torch.compiler.is_compiling():
        # One reduction that NaN survives; the entries are looked for only when there are some.
        if not bool(weight.amax() < torch.inf):
            bad = ~(weight < torch.inf)
            at = bad.nonzero()[0].tolist()
            raise ValueError(
                f"{function}: log_weight must be finite or -inf, got {weight[tuple(at)].item()} "
                f"at {at} ({int(bad.sum())} such entries)"
            )
    return weight


def with_uniforms(weight: Tensor, uniforms: Any) -> tuple[Tensor, Tensor]:
    """Check uniforms [..., N] in [0, 1) and broadcast the leading dimensions."""
    good = isinstance(uniforms, Tensor) and uniforms.dtype == torch.float64 and uniforms.dim() > 0
    if not good or uniforms.shape[-1] != weight.shape[-1]:
        got = (
            f"{uniforms.dtype} {list(uniforms.shape)}" if isinstance(uniforms, Tensor) else uniforms
        )
        raise ValueError(
            f"imh.chain: uniforms must be float64 [..., N] with N = {weight.shape[-1]}, got {got}"
        )
    check.on_device("imh.chain", "uniforms", uniforms, weight.device)
    if uniforms.numel() > 0 and not torch.compiler.is_compiling():
        low, high = torch.aminmax(uniforms)
        if not (bool(low >= 0) and bool(high < 1)):
            outside = uniforms[~((uniforms >= 0) & (uniforms < 1))][0].item()
            raise ValueError(f"imh.chain: uniforms must be in [0, 1), got {outside}")
    try:
        weight, uniforms = torch.broadcast_tensors(weight, uniforms)  # type: ignore[no-untyped-call]
    except RuntimeError:
        raise ValueError(
            f"imh.chain: uniforms must broadcast with log_weight {list(weight.shape)}, got "
            f"{list(uniforms.shape)}"
        ) from None
    return weight, uniforms
