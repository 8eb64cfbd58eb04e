"""Argument checks of the fused step: `<function>: <argument> must be <what>, got <value>`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aligndec.shared import on_device, whole
from aligndec.step.state import SequenceState

__all__ = [
    "allowed_mask",
    "logits_of",
    "state_of",
    "token_ids",
    "valid_ids",
]

_MAX_VOCAB = 2**20


def logits_of(function: str, logits: Tensor, dtypes: tuple[torch.dtype, ...], matrix: bool) -> int:
    """Check logits [..., V] (`matrix`: [B, V]); return V."""
    if not isinstance(logits, Tensor):
        raise TypeError(f"{function}: logits must be a Tensor, got {type(logits).__name__}")
    if logits.dtype not in dtypes:
        names = ", ".join(str(d).removeprefix("torch.") for d in dtypes)
        hint = "; aligndec.reference takes it" if logits.dtype == torch.float64 else ""
        raise TypeError(f"{function}: logits must be {names}, got {logits.dtype}{hint}")
    if logits.dim() < 1 or (matrix and logits.dim() != 2):
        shape = "[B, V]" if matrix else "[..., V]"
        raise ValueError(f"{function}: logits must be {shape}, got {list(logits.shape)}")
    vocab = logits.shape[-1]
    if not 1 <= vocab <= _MAX_VOCAB:
        raise ValueError(
            f"{function}: logits must be [..., V] with 1 <= V <= 2^20, got V = {vocab}"
        )
    if vocab > 1 and logits.stride(-1) != 1:
        raise ValueError(
            f"{function}: logits must be of stride 1 in the last dimension (call .contiguous()), "
            f"got {logits.stride(-1)}"
        )
    return vocab


def valid_ids(function: str, valid_vocab: int | None, vocab: int) -> int:
    """Check `valid_vocab`; None is V."""
    if valid_vocab is None:
        return vocab
    valid = whole(function, "valid_vocab", valid_vocab)
    if not 0 <= valid <= vocab:
        raise ValueError(f"{function}: valid_vocab must be in [0, V] = [0, {vocab}], got {valid}")
    return valid


def allowed_mask(
    function: str, allowed: Tensor, vocab: int, shape: Sequence[int], device: torch.device
) -> Tensor:
    """Check a bool [..., V] or int32 [..., ceil(V/32)] mask; return it with >= 2 dimensions."""
    words = {torch.bool: vocab, torch.int32: (vocab + 31) // 32}
    good = (
        isinstance(allowed, Tensor)
        and allowed.dtype in words
        and 1 <= allowed.dim() <= len(shape) + 1
        and allowed.shape[-1] == words[allowed.dtype]
        and all(
            a in (1, n) for a, n in zip(reversed(allowed.shape[:-1]), reversed(shape), strict=False)
        )
    )
    if not good:
        got = f"{allowed.dtype} {list(allowed.shape)}" if isinstance(allowed, Tensor) else allowed
        raise ValueError(
            f"{function}: allowed must be bool [B, V] or int32 [B, ceil(V/32)] with V = {vocab}, "
            f"B = {list(shape)}, got {got}"
        )
    on_device(function, "allowed", allowed, device)
    if allowed.shape[-1] > 1 and allowed.stride(-1) != 1:
        allowed = allowed.contiguous()
    return allowed if allowed.dim() > 1 else allowed[None]


def state_of(function: str, state: Any, batch: int, device: torch.device) -> SequenceState:
    """Check that a state has B rows on `device`."""
    if not isinstance(state, SequenceState):
        raise TypeError(f"{function}: state must be a SequenceState, got {type(state).__name__}")
    if state.length.shape[0] != batch:
        raise ValueError(
            f"{function}: state must be of B = {batch} rows, got {state.length.shape[0]}"
        )
    on_device(function, "state", state.length, device)
    return state


def token_ids(function: str, tokens: Any, vocab: int, device: torch.device) -> Tensor:
    """Check int64 tokens below V (the range on the CPU only; negative ones are skipped rows)."""
    if not isinstance(tokens, Tensor) or tokens.dtype != torch.int64:
        got = tokens.dtype if isinstance(tokens, Tensor) else type(tokens).__name__
        raise TypeError(f"{function}: tokens must be an int64 Tensor, got {got}")
    on_device(function, "tokens", tokens, device)
    if tokens.is_cpu and tokens.numel() > 0 and not torch.compiler.is_compiling():
        largest = tokens.item() if tokens.numel() == 1 else int(tokens.max())
        if largest >= vocab:
            raise ValueError(f"{function}: tokens must be < V = {vocab}, got {largest}")
    return tokens
