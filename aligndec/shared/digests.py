"""Digests of settings, tensors and files: what results are named and compared by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

__all__ = ["file_digest", "fingerprint", "tensor_digest"]

_DIGITS = 16
_AT_ONCE = 1 << 22  # bytes


def fingerprint(settings: Mapping[str, Any]) -> str:
    """Digest of settings that JSON can hold, whatever the order of their keys."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def tensor_digest(tensors: Mapping[str, Tensor]) -> str:
    """Digest of named tensors: dtypes, shapes and bits."""
    digest = hashlib.sha256()
    for name, tensor in tensors.items():
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)};".encode())
        bits = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        digest.update(bits.numpy().tobytes())
    return digest.hexdigest()[:_DIGITS]


def file_digest(paths: Iterable[Path]) -> str:
    """Digest of files in their order: their names and bytes, a piece at a time."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name} {path.stat().st_size};".encode())
        with path.open("rb") as file:
            while piece := file.read(_AT_ONCE):
                digest.update(piece)
    return digest.hexdigest()[:_DIGITS]
