"""Whether torch records what it computes: kernels without derivatives then step back."""

from __future__ import annotations

import torch
from torch import Tensor

from aligndec.ops import compat

__all__ = ["differentiated", "recorded"]


def recorded(*tensors: Tensor | None) -> bool:
    """Whether somebody compiles, traces or differentiates an operation on these tensors."""
    if torch.compiler.is_compiling() or compat.transformed():
        return True
    return differentiated(*tensors)


def differentiated(*tensors: Tensor | None) -> bool:
    """Whether backward mode needs what an operation on these tensors leaves behind."""
    return torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in tensors)
