"""Checks of the tensors that come with the logits, and of where random numbers come from."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aligndec.shared.scalars import whole

__all__ = ["draw_uniforms", "on_device", "positions_of", "seed_of", "vector"]


def on_device(function: str, name: str, tensor: Tensor, device: torch.device) -> None:
    """Refuse a tensor that is not where the logits are."""
    if tensor.device != device:
        raise ValueError(
            f"{function}: {name} must be on the device of logits ({device}), got {tensor.device}"
        )


def vector(
    function: str, name: str, value: Any, batch: int, device: torch.device, what: str = "int64"
) -> Tensor:
    """Check a tensor [B] of dtype `what`; return it contiguous."""
    dtype = torch.float64 if what == "float64" else torch.int64
    if not isinstance(value, Tensor) or value.dtype != dtype or value.shape != (batch,):
        got = f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else repr(value)
        raise ValueError(f"{function}: {name} must be {what} [B] = [{batch}], got {got}")
    on_device(function, name, value, device)
    return value.contiguous()


def _of_all(number: Tensor, batch: int, device: torch.device) -> Tensor:
    """Return an integer without a dimension as int64 [B], without asking a device for it."""
    if number.dim() > 0 or number.is_floating_point() or number.dtype == torch.bool:
        return number
    return number.to(device, torch.int64).expand(batch)


def seed_of(
    function: str, seed: Any, batch: int, device: torch.device
) -> tuple[int, Tensor | None]:
    """Seed as (signed 64-bit number, None), or (0, int64 [B])."""
    if isinstance(seed, Tensor):
        seed = _of_all(seed, batch, device)
        return 0, vector(function, "seed", seed, batch, device, "int or int64")
    number = whole(function, "seed", seed, "an int or int64 [B]")
    return ((number + 2**63) & (2**64 - 1)) - 2**63, None


def positions_of(
    function: str, positions: Any, batch: int, device: torch.device
) -> tuple[int, Tensor | None]:
    """Positions as (number, None), or (0, int64 [B])."""
    if isinstance(positions, Tensor):
        positions = _of_all(positions, batch, device)
        return 0, vector(function, "positions", positions, batch, device, "int or int64")
    number = whole(function, "positions", positions, "an int or int64 [B]")
    if not 0 <= number < 2**32:
        raise ValueError(f"{function}: positions must be in [0, 2^32), got {number}")
    if torch.compiler.is_compiling():  # a number would be baked into the graph
        return 0, torch.full((batch,), number, dtype=torch.int64, device=device)
    return number, None


def draw_uniforms(function: str, uniforms: Any, batch: int, device: torch.device) -> Tensor:
    """Check float64 [B] in [0, 1); the range on the CPU only."""
    u = vector(function, "uniforms", uniforms, batch, device, "float64")
    if u.is_cpu and not torch.compiler.is_compiling():
        outside = ~((u >= 0) & (u < 1))
        if bool(outside.any()):
            raise ValueError(f"{function}: uniforms must be in [0, 1), got {u[outside][0].item()}")
    return u
