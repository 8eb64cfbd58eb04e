"""The ops of `torch.ops.aligndec`: schemas, fake kernels, the extension, the choice of backend."""

from aligndec.ops import compat
from aligndec.ops.backend import build_info, current_ops, use_backend
from aligndec.ops.eager import EAGER
from aligndec.ops.library import NATIVE, extension, problem, torch_ops
from aligndec.ops.types import Op, Ops

__all__ = [
    "EAGER",
    "NATIVE",
    "Op",
    "Ops",
    "build_info",
    "compat",
    "current_ops",
    "extension",
    "problem",
    "torch_ops",
    "use_backend",
]
