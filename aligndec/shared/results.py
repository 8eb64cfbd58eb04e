"""Results that come back from `pickle`, `copy.deepcopy` and `torch.load(weights_only=True)`."""

from __future__ import annotations

import dataclasses
import functools
from importlib import import_module
from typing import Any, TypeVar

import torch

__all__ = ["kind_of", "restore", "result", "result_type"]

T = TypeVar("T")
_PACKAGE = __name__.partition(".")[0]
_RESULTS: set[type] = set()


def result(cls: type[T]) -> type[T]:
    """Let a dataclass or named tuple of this package be stored by its fields."""
    _RESULTS.add(cls)
    cls.__reduce__ = _reduce  # type: ignore[method-assign]
    return cls


def kind_of(cls: type) -> str:
    """Return the name under which a result type is stored: its room and itself."""
    return f"{cls.__module__.rpartition('.')[0]}:{cls.__name__}"


def result_type(kind: str) -> type[Any] | None:
    """Return the result type of that name, or None.

    Importing runs code: a name may stand for a type of this package and for nothing else.
    """
    room, _, name = kind.partition(":")
    found = getattr(import_module(room), name, None) if room.split(".")[0] == _PACKAGE else None
    return found if found in _RESULTS else None


def restore(kind: str, fields: dict[str, Any], beside: dict[str, Any]) -> Any:
    """Make a result again, of its fields and of what a tuple carries beside them."""
    cls = result_type(kind)
    if cls is None:
        raise ValueError(f"restore: kind must be a result type of this aligndec, got {kind}")
    out = cls(**fields)
    for name, value in beside.items():
        setattr(out, name, value)
    return out


def _reduce(self: Any) -> tuple[Any, ...]:
    cls: Any = type(self)
    if dataclasses.is_dataclass(cls):
        names, beside = [f.name for f in dataclasses.fields(cls)], {}
    else:
        names, beside = list(cls._fields), dict(getattr(self, "__dict__", {}))
    fields = {name: getattr(self, name) for name in names}
    if cls in _RESULTS:
        return restore, (kind_of(cls), fields, beside)
    return functools.partial(cls, **fields), ()


torch.serialization.add_safe_globals([restore])
