"""Registers the ops of the library `aligndec` and loads the compiled extension.

Each family declares its ops (`adaptor`, `imh`, …). The eager reference is the default
kernel of every op; the extension, when present, overrides it for CPU and CUDA tensors.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch

from aligndec.ops import adaptor, attention, imh, tilt, transfer_q
from aligndec.ops.types import Ops

__all__ = ["NATIVE", "extension", "torch_ops"]

_FAMILIES = (adaptor, attention, imh, tilt, transfer_q)
_OPS = {name: op for family in _FAMILIES for name, op in family.OPS.items()}

_library: Any = torch.library.Library("aligndec", "DEF")  # type: ignore[no-untyped-call]
for _name, _op in _OPS.items():
    _library.define(_name + _op.schema, tags=(torch.Tag.pt2_compliant_tag,))
    _library.impl(_name, _op.default, "CompositeExplicitAutograd")
    torch.library.register_fake(f"aligndec::{_name}", _op.fake, lib=_library)
torch.library.register_autograd(
    "aligndec::adaptor_score",
    adaptor.backward,
    setup_context=adaptor.setup_context,
    lib=_library,
)


def _load() -> Any:
    """Import the extension, which registers its kernels; None when it was not built."""
    how = "rebuild it against this torch with `pip install --no-build-isolation .`"
    try:
        module = import_module("aligndec._C")
    except ModuleNotFoundError as error:
        if error.name == "aligndec._C":
            return None
        raise
    except ImportError as error:
        raise ImportError(
            f"aligndec._C does not load with torch {torch.__version__} ({error}): {how}."
        ) from error
    built, found = str(module.torch_version), torch.__version__
    if built.split("+")[0] != found.split("+")[0]:
        raise ImportError(f"aligndec._C was built for torch {built}, found torch {found}: {how}.")
    return module


extension = _load()
"""The pybind11 module of the compiled kernels, or None."""

NATIVE: bool = extension is not None

_public = [name for name in Ops._fields if name in _OPS]
torch_ops = Ops(**{name: getattr(torch.ops.aligndec, name).default for name in _public})
"""The registered ops: compiled kernels where there are some, the reference elsewhere."""
