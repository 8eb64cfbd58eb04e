"""Targets of whole strings, their log-weights, and what no method can correct."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor

from aligndec.generation import Generation
from aligndec.step import Adaptor

__all__ = [
    "METHODS",
    "REJECTION_FACTORS",
    "Method",
    "Target",
    "Unfinished",
    "called",
    "check_method",
    "check_target",
    "is_partial",
    "log_weight",
]

Target = Literal["power", "kept_mass", "base"] | Callable[[Generation], Tensor]
Method = Literal["imh", "rejection", "sir", "smc", "pimh", "suffix"]
Unfinished = Literal["prefix", "reject"]
TARGETS = ("power", "kept_mass", "base")
METHODS = ("imh", "rejection", "sir", "smc", "pimh", "suffix")

REJECTION_FACTORS = {"power": "log_z", "kept_mass": "log_kept"}
"""The field of a step whose exponential is the chance of passing it, for each target that has one.

A rejection sampler needs weights of at most 1 that are known step by step.
"""


def log_weight(
    generation: Generation, target: Target = "power", *, unfinished: Unfinished = "prefix"
) -> Tensor:
    """Return ln target − ln proposal law of strings drawn by `generate`.

    One pool serves many targets: the strings stay, only their weights change.

    Parameters
    ----------
    generation : Generation
        N strings and their sums under the local law that drew them.
    target : {"power", "kept_mass", "base"} or callable
        As in `GlobalSampler`. A callable receives the generation and returns its ln target,
        [N], finite or −inf.
    unfinished : {"prefix", "reject"}
        Whether strings that reached the length cap count as they are or have no weight.

    Returns
    -------
    Tensor
        float64 [N]. −inf for strings that ended with unusable logits.

    Raises
    ------
    ValueError
        Unknown names; a callable that returns something else, NaN or +inf.

    References
    ----------
    arXiv 2406.10203, Eq. 6–8.
    """
    check_target("global_law.log_weight", target, unfinished)
    _refuse_xtc("global_law.log_weight", generation.adaptors)
    if callable(target):
        weight = called(target, generation) - generation.log_q
    elif target == "base":
        weight = generation.log_p - generation.log_q
    else:
        weight = getattr(generation, REJECTION_FACTORS[target])
    dead = generation.status != 0
    if unfinished == "reject":
        dead = dead | ~generation.finished
    return torch.where(dead, -torch.inf, weight)


def _refuse_xtc(function: str, adaptors: Sequence[Adaptor]) -> None:
    coined = [a.xtc for a in adaptors if a.xtc is not None]
    if coined:
        raise ValueError(
            f"{function}: adaptor must be without xtc (a law with a coin has no globally "
            f"normalised form), got xtc={coined[0]}"
        )


def _extremes(adaptor: Adaptor) -> tuple[float, ...]:
    """Return temperatures between which those of all steps lie."""
    if adaptor.dynamic_temperature is None:
        return (adaptor.temperature,)
    return adaptor.dynamic_temperature[:2]


def is_partial(target: Target) -> bool:
    """Whether a callable target judges prefixes too: it says so by an attribute `partial`."""
    return callable(target) and bool(getattr(target, "partial", False))


def called(target: Callable[[Generation], Tensor], generation: Generation) -> Tensor:
    """Return ln target [N] of a callable, checked."""
    given = target(copy.deepcopy(generation))  # theirs to change
    if not isinstance(given, Tensor) or given.shape != generation.log_q.shape:
        got = list(given.shape) if isinstance(given, Tensor) else type(given).__name__
        raise ValueError(
            f"GlobalSampler: target must return a Tensor [N] = [{len(generation)}], got {got}"
        )
    given = given.detach().to(generation.log_q)
    bad = ~(given < torch.inf)
    if bool(bad.any()):
        row = int(bad.nonzero()[0])
        raise ValueError(
            f"GlobalSampler: target must return finite values or -inf, got {given[row].item()} "
            f"for string {row} ({int(bad.sum())} such strings)"
        )
    return given


def check_target(function: str, target: Target, unfinished: str) -> None:
    """Refuse unknown targets and policies."""
    if not callable(target) and target not in TARGETS:
        raise ValueError(
            f"{function}: target must be one of {TARGETS} or a callable, got {target!r}"
        )
    if unfinished not in ("prefix", "reject"):
        raise ValueError(f'{function}: unfinished must be "prefix" or "reject", got {unfinished!r}')


def check_method(target: Target, method: str, adaptors: Sequence[Adaptor]) -> None:
    """Refuse what cannot be corrected, and say what can; warn where the length cap matters."""
    if method not in METHODS:
        raise ValueError(f"GlobalSampler: method must be one of {METHODS}, got {method!r}")
    _refuse_xtc("GlobalSampler", adaptors)
    temperatures = [t for a in adaptors for t in _extremes(a)]
    if target == "power" and 0 in temperatures:
        raise ValueError(
            'GlobalSampler: temperature must be > 0 for target "power", got 0 (greedy decoding '
            "has no power law)"
        )
    hottest = max(temperatures, default=1.0)
    if method == "rejection":
        if target not in REJECTION_FACTORS:
            name = "a callable" if callable(target) else repr(target)
            raise ValueError(
                'GlobalSampler: target must be "power" or "kept_mass" for method "rejection" '
                f'(weights of at most 1), got {name}; use method="imh" or "sir"'
            )
        if target == "power" and hottest > 1:
            raise ValueError(
                'GlobalSampler: temperature must be <= 1 for target "power" and method '
                f'"rejection", got {hottest} (weights above 1); use method="imh" or "sir", or '
                'target="kept_mass"'
            )
    if target == "power" and hottest > 1:
        warnings.warn(
            f'GlobalSampler: with temperature {hottest} > 1 the target "power" depends on '
            "max_new_tokens: without a length cap its normaliser is in general infinite",
            UserWarning,
            stacklevel=3,
        )
