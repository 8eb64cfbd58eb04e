"""The parameters of adaptors as the ops read them: where the logits are, one row or one each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aligndec.step.adaptors import Adaptor
from aligndec.step.packed import PackedAdaptors, as_list, row_of, rows_of
from aligndec.step.state import SequenceState

__all__ = ["adaptor_params", "grid_params"]


def adaptor_params(
    function: str,
    adaptor: Any,
    shape: Sequence[int],
    device: torch.device,
    state: SequenceState | None = None,
) -> Tensor:
    """Parameters float64 [1 | N, COLUMNS] on `device` for N results of the given shape.

    A sequence has one adaptor per result, or one per index of the first dimension. Stateful ones
    are refused without a state.
    """
    if state is None:
        _refuse_stateful(function, "adaptor", adaptor)
    if isinstance(adaptor, Adaptor):
        return _row_on(function, adaptor, device)
    if isinstance(adaptor, PackedAdaptors):
        params, given = _packed(function, "adaptor", adaptor, device), adaptor.batch
    else:
        params = _sent(function, rows_of(as_list(function, adaptor)), device)
        given = params.shape[0]
    total = 1
    for n in shape:
        total *= n
    first = shape[0] if len(shape) > 0 else 1
    if given not in (total, first):
        raise ValueError(
            f"{function}: adaptor must be one or a sequence of {total} adaptors, got {given}"
        )
    if params.shape[0] == 1 or given == total:
        return params
    return params.repeat_interleave(total // max(first, 1), 0)


def grid_params(function: str, adaptors: Any, device: torch.device) -> Tensor:
    """Parameters float64 [A, COLUMNS] on `device` of A adaptors that each serve every row."""
    _refuse_stateful(function, "adaptors", adaptors)
    if isinstance(adaptors, PackedAdaptors):
        params = _packed(function, "adaptors", adaptors, device)
        return params.expand(adaptors.batch, -1).contiguous()
    listed = as_list(function, adaptors, "adaptors", "a sequence of Adaptors")
    return _sent(function, rows_of(listed), device)


def _refuse_stateful(function: str, name: str, adaptor: Any) -> None:
    """Refuse mirostat where nothing carries its threshold."""
    several = isinstance(adaptor, Sequence)
    if any(getattr(a, "stateful", False) for a in (adaptor if several else (adaptor,))):
        raise ValueError(
            f"{function}: {name} must be without mirostat_tau where there is no state, got "
            "mirostat_tau > 0 (its kept set depends on the string: pass a SequenceState to sample "
            "or score)"
        )


def _packed(function: str, name: str, adaptors: PackedAdaptors, device: torch.device) -> Tensor:
    """Parameters of packed adaptors, refused when they are elsewhere."""
    if adaptors.params.device != device:
        raise ValueError(
            f"{function}: {name} must be on the device of logits ({device}), got "
            f"{adaptors.params.device} (use pack(..., device=...))"
        )
    return adaptors.params


def _row_on(function: str, adaptor: Adaptor, device: torch.device) -> Tensor:
    """Parameters of one adaptor on `device`: copied there once."""
    if device.type == "cpu":
        return row_of(adaptor)
    if torch.compiler.is_compiling():
        return row_of(adaptor).to(device)
    copies: dict[torch.device, Tensor] = adaptor._copies  # type: ignore[attr-defined]
    if device not in copies:
        _refuse_capture(function, device)
        with torch.inference_mode(False):
            row = row_of(adaptor).to(device)
        if type(row) is not Tensor:  # a tracer's stand-in
            return row
        copies[device] = row
    return copies[device]


def _sent(function: str, rows: Tensor, device: torch.device) -> Tensor:
    """Copy parameters to `device`; from pinned memory, so that nobody waits for the copy."""
    if device.type != "cuda" or torch.compiler.is_compiling():
        return rows.to(device)
    _refuse_capture(function, device)
    return rows.pin_memory().to(device, non_blocking=True)


def _refuse_capture(function: str, device: torch.device) -> None:
    """Refuse to record a copy: a replay would read memory that is somebody else's by then."""
    if device.type == "cuda" and torch.cuda.is_current_stream_capturing():
        raise ValueError(
            f"{function}: adaptor must be packed on {device} before a CUDA graph is captured "
            "(use pack(..., device=...)), got one that is not there yet"
        )
