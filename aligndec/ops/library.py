"""Registers the ops of the library `aligndec` and loads the compiled kernels.

Each family declares its ops (`adaptor`, `imh`, …). The eager reference is the default
kernel of every op; the kernel library, when present, overrides it for CPU and CUDA tensors. It
holds no Python and stands on torch's stable ABI; `aligndec._C` beside it says what it is.
"""

from __future__ import annotations

import platform
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from aligndec.ops import adaptor, attention, imh, tilt, transfer_q
from aligndec.ops.types import Ops

__all__ = ["NATIVE", "extension", "problem", "torch_ops"]

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


KERNELS = Path(__file__).parents[1] / "libaligndec_kernels.so"
_REBUILD = "pip install --no-build-isolation --force-reinstall --no-deps ."
_INSTRUCTION_SETS = {"AVX512": "avx512", "AVX2": "avx2"}
_BY_WIDTH = ("baseline", "avx2", "avx512")


def _load() -> tuple[Any, str]:
    """Load the kernels; return the module beside them and "", or None and a sentence why."""
    if not KERNELS.exists() and find_spec("aligndec._C") is None:
        return None, f"the compiled kernels are missing (build them with `{_REBUILD}`)"
    built = "another version of torch or Python"
    try:
        module = import_module("aligndec._C")
        built = f"torch {module.torch_version}"
        torch.ops.load_library(str(KERNELS))  # type: ignore[no-untyped-call]
        module.open(str(KERNELS))
        # torch's own choice, which honours ATEN_CPU_CAPABILITY, as far as the library has it.
        wanted = _INSTRUCTION_SETS.get(torch.backends.cpu.get_cpu_capability(), "baseline")
        best = module.instruction_set()
        module.set_instruction_set(min(wanted, best, key=_BY_WIDTH.index))
    except Exception as error:
        found = f"torch {torch.__version__} and Python {platform.python_version()}"
        cause = error.__cause__ or error  # torch names the file alone, what it caught the reason
        reason = " ".join(f"{type(cause).__name__}: {cause}".split())[:400]
        how = _REBUILD
        if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 10):
            how = "pip install 'torch>=2.10'"
        elif torch.version.cuda is None and "cuda" in reason:  # kernels of a CUDA build
            how = f"ALIGNDEC_CUDA=0 {_REBUILD}"
        return None, (
            f"the compiled kernels do not load: built with {built} for torch >= 2.10, found "
            f"{found} ({reason}); put it right with `{how}`"
        )
    return module, ""


extension, problem = _load()
"""The pybind11 module beside the compiled kernels, or None; and then why, in a sentence."""

NATIVE: bool = extension is not None

_public = [name for name in Ops._fields if name in _OPS]
torch_ops = Ops(**{name: getattr(torch.ops.aligndec, name).default for name in _public})
"""The registered ops: compiled kernels where there are some, the reference elsewhere."""
