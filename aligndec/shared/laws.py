"""Argument checks of the laws over an enumerated set of outcomes."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = [
    "Rows",
    "as_rows",
    "broadcast",
    "lead_of",
    "numbers",
    "on_support",
    "refuse_infinite",
    "rewards_and_law",
    "tensor_of",
]

_FLOATS = (torch.float32, torch.float64)


def tensor_of(function: str, name: str, value: Any) -> Tensor:
    """Check [..., V >= 1] of a floating type, no NaN; half types become float32."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        got = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise TypeError(f"{function}: {name} must be a floating-point Tensor, got {got}")
    if value.dim() == 0 or value.shape[-1] == 0:
        raise ValueError(
            f"{function}: {name} must be [..., V] with V >= 1, got {list(value.shape)}"
        )
    out: Tensor = value if value.dtype in _FLOATS else value.float()
    refuse_nan(function, name, out)
    return out


def refuse_nan(function: str, name: str, value: Tensor) -> None:
    """Raise with the first position of a NaN."""
    if value.numel() == 0 or not bool(value.detach().amax().isnan()):
        return
    bad = value.isnan()
    raise ValueError(
        f"{function}: {name} must be without NaN, got nan at {bad.nonzero()[0].tolist()} "
        f"({int(bad.sum())} such entries)"
    )


def rewards_and_law(function: str, log_p: Any, r: Any) -> tuple[Tensor | None, Tensor]:
    """Check log_p [..., V] (None: a pool of equally likely outcomes) and r [..., V].

    The two are not broadcast yet; they have one dtype (float32 or float64) and device.
    """
    r = tensor_of(function, "r", r)
    if log_p is None:
        return None, r
    log_p = tensor_of(function, "log_p", log_p)
    if log_p.device != r.device:
        raise ValueError(f"{function}: r must be on the device of log_p, got {r.device}")
    if log_p.shape[-1] != r.shape[-1]:
        raise ValueError(
            f"{function}: r must be [..., V] with V = {log_p.shape[-1]}, got {list(r.shape)}"
        )
    if log_p.numel() > 0:
        best = log_p.detach().amax(-1)
        if not bool((best < torch.inf).all()):
            raise ValueError(f"{function}: log_p must be < inf, got inf")
        if not bool((best > -torch.inf).all()):
            at = (best == -torch.inf).nonzero()[0].tolist()
            raise ValueError(
                f"{function}: log_p must be > -inf for some outcome of every row, got none in row "
                f"{at}"
            )
    dtype = torch.promote_types(log_p.dtype, r.dtype)
    return log_p.to(dtype), r.to(dtype)


def numbers(function: str, name: str, value: Any, device: torch.device) -> Tensor:
    """Return a number or a tensor as float64 on `device`, without NaN."""
    if isinstance(value, bool) or (isinstance(value, Tensor) and value.dtype == torch.bool):
        raise TypeError(f"{function}: {name} must be a number or a Tensor, got a bool")
    try:
        out = value if isinstance(value, Tensor) else torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(f"{function}: {name} must be a number or a Tensor, got {value!r}") from None
    out = out.to(device=device, dtype=torch.float64)
    refuse_nan(function, name, out)
    return out


def broadcast(function: str, **shapes: Any) -> torch.Size:
    """Broadcast leading shapes; the error names the arguments."""
    try:
        return torch.Size(torch.broadcast_shapes(*shapes.values()))  # type: ignore[no-untyped-call]
    except RuntimeError:
        names = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise ValueError(f"{function}: leading dimensions must broadcast, got {names}") from None


def lead_of(name: str, log_p: Tensor | None, r: Tensor, **parameters: Tensor) -> torch.Size:
    """Broadcast the leading dimensions of log_p and r with parameters [...]."""
    shapes = {key: value.shape for key, value in parameters.items()}
    law = () if log_p is None else log_p.shape[:-1]
    return broadcast(name, log_p=law, r=r.shape[:-1], **shapes)


def on_support(log_p: Tensor | None, where: Tensor) -> Tensor:
    """Keep of `where` bool [..., V] the outcomes that exist."""
    return where if log_p is None else where & (log_p > -torch.inf)


def refuse_infinite(name: str, log_p: Tensor | None, r: Tensor, sign: float) -> None:
    """Refuse a reward of +inf·sign on the support."""
    bad = on_support(log_p, r * sign == torch.inf)
    if bool(bad.any()):
        raise ValueError(
            f"{name}: r must be {'<' if sign > 0 else '>'} {sign * torch.inf} on the support, got "
            f"{sign * torch.inf} at {bad.nonzero()[0].tolist()}"
        )


class Rows(NamedTuple):
    """Arguments as matrices: log_p [R, V] or None, r [R, V], parameter float64 [R, K]."""

    log_p: Tensor | None
    r: Tensor
    parameter: Tensor


def as_rows(log_p: Tensor | None, r: Tensor, lead: torch.Size, parameter: Tensor) -> Rows:
    """Flatten the leading dimensions `lead`; parameter is [*lead, K], or [K] for all rows."""

    def matrix(x: Tensor) -> Tensor:
        flat = x.detach().expand(*lead, x.shape[-1]).reshape(-1, x.shape[-1])
        return flat if flat.stride(-1) == 1 else flat.contiguous()

    law = None if log_p is None else matrix(log_p)
    flat = parameter.detach().reshape(-1, parameter.shape[-1])
    return Rows(law, matrix(r), flat.contiguous())
