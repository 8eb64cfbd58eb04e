"""Every name of torch that its documentation does not promise, and what each one is for.

No other module may use such a name (a test sees to it), so a torch that moves is met here. All of
them were there from 2.10 to 2.14.1.
"""

from __future__ import annotations

import functools
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.utils import _pytree

__all__ = [
    "compiled_module",
    "content_version",
    "linear_of_blocks",
    "map_tensors",
    "multiplies",
    "stand_in",
    "transformed",
    "weight_blocks",
    "without_torch_function",
]

_T = TypeVar("_T", bound=Tensor)

map_tensors = _pytree.tree_map_only
"""`map_tensors(kind, fn, tree)`: `fn` of every leaf of a kind; the public `optree` is no need."""

without_torch_function = torch._C.DisableTorchFunctionSubclass
"""Context in which a subclass's `__torch_function__` is not asked."""


def transformed() -> bool:
    """Whether somebody traces, or takes forward derivatives or `torch.func` transforms, now."""
    traced: bool = torch._C._is_tracing()
    forward: bool = forward_ad._current_level >= 0
    return traced or forward or torch._C._are_functorch_transforms_active()


def stand_in(kind: type[_T], shape: tuple[int, ...], like: Tensor) -> _T:
    """Make a tensor subclass that has a shape, a dtype and a device but no memory."""
    out: _T = torch.Tensor._make_wrapper_subclass(kind, shape, dtype=like.dtype, device=like.device)
    return out


def compiled_module(module: object) -> Any:
    """Return the module inside of what `torch.compile(module)` returns; None for anything else."""
    return getattr(module, "_orig_mod", None) if isinstance(module, torch.nn.Module) else None


def content_version(x: Tensor) -> int:
    """Return the number of writes in place that torch has counted; 0 where it counts none."""
    return 0 if x.is_inference() else x._version


@functools.cache
def multiplies(dtype: torch.dtype) -> bool:
    """Whether oneDNN multiplies numbers of a type on this processor."""
    if dtype == torch.bfloat16:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    if dtype == torch.float16:
        return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
    return dtype == torch.float32


def weight_blocks(weight: Tensor) -> Tensor:
    """Return a contiguous weight [out, in] in the blocks that oneDNN's products read."""
    blocks: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight)
    return blocks


def linear_of_blocks(x: Tensor, blocks: Tensor, bias: Tensor | None) -> Tensor:
    """Return x · weightᵀ + bias of a weight that `weight_blocks` has laid out."""
    nothing: tuple[Any, ...] = ("none", [], "")  # no activation behind the product
    out: Tensor = torch.ops.mkldnn._linear_pointwise.default(x, blocks, bias, *nothing)
    return out
