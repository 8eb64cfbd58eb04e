"""Which kernels run: the compiled extension, or the eager reference."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Literal

import torch

from aligndec._version import __version__
from aligndec.ops import library
from aligndec.ops.eager import EAGER
from aligndec.ops.types import Ops

__all__ = ["build_info", "current_ops", "use_backend"]

_choice: ContextVar[Ops | None] = ContextVar("aligndec_backend", default=None)


class _Once:
    warned = False


def current_ops() -> Ops:
    """Return the ops in use; while compiling, always the registered ones."""
    if torch.compiler.is_compiling():
        return library.torch_ops
    chosen = _choice.get()
    if chosen is not None:
        return chosen
    if library.NATIVE:
        return library.torch_ops
    if os.environ.get("ALIGNDEC_REQUIRE_NATIVE") == "1":
        raise ImportError(f"ALIGNDEC_REQUIRE_NATIVE=1, but {library.problem}")
    if not _Once.warned:
        _Once.warned = True
        warnings.warn(
            f"aligndec: {library.problem}: the slow reference backend is used",
            UserWarning,
            stacklevel=3,
        )
    return EAGER


@contextmanager
def use_backend(name: Literal["native", "reference"]) -> Iterator[None]:
    """Choose the kernels of the fused step inside a `with` block, for this thread or task.

    Parameters
    ----------
    name : {"native", "reference"}
        The compiled kernels, or the eager specification. Compiled graphs (torch.compile) keep the
        registered kernels either way.

    Raises
    ------
    ImportError
        For "native" when the kernels are missing or do not load.
    """
    if name not in ("native", "reference"):
        raise ValueError(f"use_backend: name must be 'native' or 'reference', got {name!r}")
    if name == "native" and not library.NATIVE:
        raise ImportError(f"use_backend: {library.problem}")
    token = _choice.set(library.torch_ops if name == "native" else EAGER)
    try:
        yield
    finally:
        _choice.reset(token)


def build_info() -> dict[str, Any]:
    """Describe the installation.

    Returns
    -------
    dict
        `version`, `backend` in use ("native" or "reference"); of the extension `torch` (compiled
        against), `compiler`, `instruction_set` and `cuda_architectures`, None or empty without it.
    """
    native = library.NATIVE and _choice.get() is not EAGER
    info: dict[str, Any] = {
        "version": __version__,
        "backend": "native" if native else "reference",
        "torch": None,
        "compiler": None,
        "instruction_set": None,
        "cuda_architectures": [],
    }
    if library.extension is not None:
        info.update(library.extension.build_info())
    return info
