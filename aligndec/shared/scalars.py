"""The numbers that functions take, numpy's and torch's among them: conversion and checks."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable
from itertools import chain, repeat
from typing import Any, ParamSpec, TypeVar

import numpy as np
from torch import Tensor

__all__ = [
    "at_least",
    "at_least_if_given",
    "plain",
    "plain_arguments",
    "plain_fields",
    "real",
    "whole",
]

P = ParamSpec("P")
R = TypeVar("R")


def plain(value: Any) -> Any:
    """Return numpy's numbers, and integers that are tensors or arrays of no dimension, as Python's.

    Anything else stays as it is: a tensor of a floating type may want a gradient.
    """
    if isinstance(value, Tensor):
        whole_one = value.dim() == 0 and not value.is_floating_point() and not value.is_complex()
        return value.item() if whole_one and value.device.type != "meta" else value
    if isinstance(value, (np.integer, np.floating, np.bool_)):
        return value.item()
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value


def plain_arguments(function: Callable[P, R]) -> Callable[P, R]:
    """Let a public function see Python's numbers only, whatever its caller counts with.

    An argument that is a tensor by its annotation, and never a number, is handed on as it is.
    """
    parameters = inspect.signature(function).parameters
    in_order = [_is_tensor(str(p.annotation)) for p in parameters.values()]
    tensors = {name for name, is_tensor in zip(parameters, in_order, strict=True) if is_tensor}

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        # What exceeds the parameters belongs to *args, or is the function's own error.
        listed = zip(args, chain(in_order, repeat(False)), strict=False)
        first: list[Any] = [value if is_tensor else plain(value) for value, is_tensor in listed]
        given: dict[str, Any] = {k: v if k in tensors else plain(v) for k, v in kwargs.items()}
        return function(*first, **given)

    return call


def _is_tensor(annotation: str) -> bool:
    return "Tensor" in annotation and not re.search(r"\b(int|float)\b", annotation)


def plain_fields(record: Any) -> None:
    """Let a frozen dataclass hold Python's numbers only: what it stores goes into files."""
    for field in dataclasses.fields(record):
        value = getattr(record, field.name)
        one = isinstance(value, Tensor) and value.dim() == 0
        object.__setattr__(record, field.name, value.item() if one else plain(value))


def real(function: str, name: str, value: Any) -> float:
    """Return a number as float; anything else, a bool included, is a TypeError."""
    if isinstance(value, Tensor | np.ndarray):
        one = value.ndim == 0 and "complex" not in str(value.dtype)
        value = value.item() if one else value
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating, np.integer)):
        raise TypeError(f"{function}: {name} must be a number, got {value!r}")
    return float(value)


def whole(function: str, name: str, value: Any, what: str = "an int") -> int:
    """Return an integer argument as int; anything else, a bool included, is a TypeError."""
    if isinstance(value, Tensor | np.ndarray):
        value = plain(value)
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{function}: {name} must be {what}, got {value!r}")
    # Not int(value) for an int: a symbolic one, while compiling, stays symbolic.
    return value if isinstance(value, int) else int(value)


def at_least(function: str, bound: int, **given: Any) -> None:
    """Check that whole numbers are not below a bound."""
    for name, value in given.items():
        if whole(function, name, value) < bound:
            raise ValueError(f"{function}: {name} must be >= {bound}, got {value}")


def at_least_if_given(function: str, bound: int, **given: Any) -> None:
    """Check the same of those that are not None."""
    at_least(function, bound, **{k: value for k, value in given.items() if value is not None})
