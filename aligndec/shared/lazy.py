"""Names of a face that are imported when they are first asked for."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

__all__ = ["lazily"]


def lazily(
    package: str,
    names: Mapping[str, str],
    public: Sequence[str],
    *,
    moved: Mapping[str, str] | None = None,
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return `__getattr__` and `__dir__` of a package (PEP 562).

    Parameters
    ----------
    package : str
        Its full name.
    names : mapping
        Name to the module that holds it; a module of that very name stands for itself.
    public : sequence of str
        What `dir` shows.
    moved : mapping, optional
        Like `names`, of names that live elsewhere by now: they come with a DeprecationWarning that
        tells the new place.
    """
    old = moved or {}

    def get(name: str) -> Any:
        where = names.get(name) or old.get(name)
        if where is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if name in old:
            warnings.warn(
                f"{package}.{name} has moved to {where}.{name}; the old name goes with the next "
                "minor version",
                DeprecationWarning,
                stacklevel=2,
            )
        module = import_module(where)
        return module if where == f"{package}.{name}" else getattr(module, name)

    return get, lambda: sorted(set(public))
