"""Argument checks of the chains."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aligndec.shared import on_device, vector

__all__ = ["log_weights", "names", "pool_values", "some_weight", "with_uniforms"]


def log_weights(function: str, value: Any, name: str = "log_weight") -> Tensor:
    """Check [..., N >= 1] without NaN and +inf; return float64 without a gradient."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        got = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise TypeError(f"{function}: {name} must be a floating-point Tensor, got {got}")
    if value.dim() == 0 or value.shape[-1] == 0:
        raise ValueError(
            f"{function}: {name} must be [..., N] with N >= 1, got {list(value.shape)}"
        )
    weight = value.detach().double()
    if weight.numel() > 0 and not torch.compiler.is_compiling():
        # One reduction that NaN survives; the entries are looked for only when there are some.
        if not bool(weight.amax() < torch.inf):
            bad = ~(weight < torch.inf)
            at = bad.nonzero()[0].tolist()
            raise ValueError(
                f"{function}: {name} must be finite or -inf, got {weight[tuple(at)].item()} "
                f"at {at} ({int(bad.sum())} such entries)"
            )
    return weight


def some_weight(function: str, weight: Tensor) -> None:
    """Refuse pools [..., N] in which nothing has any weight."""
    empty = weight.amax(-1) == -torch.inf
    if bool(empty.any()):
        at = empty.nonzero()[0].tolist()
        raise ValueError(
            f"{function}: log_weight must have a finite entry in every pool, got only -inf"
            + (f" in pool {at}" if at else "")
        )


def pool_values(function: str, weight: Tensor, values: Any) -> tuple[Tensor, Tensor]:
    """Check values [..., N, S] without NaN; return both with the same leading dimensions."""
    if not isinstance(values, Tensor) or not values.is_floating_point():
        got = values.dtype if isinstance(values, Tensor) else type(values).__name__
        raise TypeError(f"{function}: values must be a floating-point Tensor, got {got}")
    on_device(function, "values", values, weight.device)
    n = weight.shape[-1]
    try:
        good = values.dim() >= 2 and values.shape[-2] == n
        shapes = (weight.shape[:-1], values.shape[:-2])
        leading = torch.broadcast_shapes(*shapes) if good else None  # type: ignore[no-untyped-call]
    except RuntimeError:
        leading = None
    if leading is None:
        raise ValueError(
            f"{function}: values must be [..., N, S] for log_weight {list(weight.shape)}, got "
            f"{list(values.shape)}"
        )
    values = values.detach().double()
    missing = values.isnan()
    if bool(missing.any()):
        raise ValueError(
            f"{function}: values must not be NaN, got NaN at {missing.nonzero()[0].tolist()} "
            f"({int(missing.sum())} such entries)"
        )
    return weight.expand(*leading, n), values.expand(*leading, n, values.shape[-1])


def names(function: str, sequence_ids: Any, leading: torch.Size, device: torch.device) -> Tensor:
    """Sequence ids of the leading dimensions, flat: as given, else 0, 1, ..."""
    count = leading.numel()
    if sequence_ids is None:
        return torch.arange(count, device=device)
    if isinstance(sequence_ids, Tensor):
        sequence_ids = sequence_ids.reshape(-1)
    return vector(function, "sequence_ids", sequence_ids, count, device)


def with_uniforms(
    function: str, weight: Tensor, uniforms: Any, size: str = "N"
) -> tuple[Tensor, Tensor]:
    """Check uniforms [..., N] in [0, 1) and broadcast the leading dimensions."""
    good = isinstance(uniforms, Tensor) and uniforms.dtype == torch.float64 and uniforms.dim() > 0
    if not good or uniforms.shape[-1] != weight.shape[-1]:
        got = (
            f"{uniforms.dtype} {list(uniforms.shape)}" if isinstance(uniforms, Tensor) else uniforms
        )
        raise ValueError(
            f"{function}: uniforms must be float64 [..., {size}] with {size} = {weight.shape[-1]}, "
            f"got {got}"
        )
    on_device(function, "uniforms", uniforms, weight.device)
    if uniforms.numel() > 0 and not torch.compiler.is_compiling():
        low, high = torch.aminmax(uniforms)
        if not (bool(low >= 0) and bool(high < 1)):
            outside = uniforms[~((uniforms >= 0) & (uniforms < 1))][0].item()
            raise ValueError(f"{function}: uniforms must be in [0, 1), got {outside}")
    try:
        weight, uniforms = torch.broadcast_tensors(weight, uniforms)  # type: ignore[no-untyped-call]
    except RuntimeError:
        raise ValueError(
            f"{function}: uniforms must broadcast with log_weight {list(weight.shape)}, got "
            f"{list(uniforms.shape)}"
        ) from None
    return weight, uniforms
