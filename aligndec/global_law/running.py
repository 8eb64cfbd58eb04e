"""Log-weights of strings that are still being written: what a particle filter pays step by step.

The weight of a string telescopes: after every step it has a *running* log-weight S, 0 before the
first token, whose differences are the steps' log-weights g_t and whose last value is
ln target − ln proposal law. A string that has ended keeps its S.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from aligndec.generation import Generation
from aligndec.global_law.targets import REJECTION_FACTORS, Target, called, is_partial
from aligndec.step import Adaptor, SequenceState

__all__ = ["Prefixes", "Running", "running_of"]

Prefixes = Callable[[Tensor], Generation]
"""Gives the strings so far of the rows int64 [n]."""


def running_of(target: Target, adaptors: Sequence[Adaptor], bridge: int) -> Running:
    """Return the running weights of rows with one adaptor, or one each."""
    if is_partial(target):
        return Partial(target)
    if bridge:
        inverse = torch.tensor([1.0 / a.temperature for a in adaptors], dtype=torch.float64)
        return Bridged(inverse, bridge)
    return Running(target)


class Running:
    """S for targets that are known from the sums of a string, and for callables of whole strings.

    For those S is that of "power" until the end, when it becomes ln target − Σ log_q.
    """

    def __init__(self, target: Target) -> None:
        self.target = target

    def start(self, rows: int, device: torch.device) -> None:
        """Begin with empty strings."""

    def select(self, index: Tensor) -> None:
        """Gather rows."""

    def after(self, t: int, sums: SequenceState, was_live: Tensor, prefixes: Prefixes) -> Tensor:
        """Return S float64 [B] after step t; `was_live` [B]: rows that drew a token in it."""
        if self.target == "base":
            return sums.sum_log_p - sums.sum_log_q
        name = "power" if callable(self.target) else self.target
        weight: Tensor = getattr(sums, f"sum_{REJECTION_FACTORS[name]}")
        return weight

    def final(self, sums: SequenceState, prefixes: Prefixes) -> Tensor:
        """Return S of the whole strings."""
        rows = torch.arange(len(sums.length), device=sums.length.device)
        if callable(self.target):
            return called(self.target, prefixes(rows)) - sums.sum_log_q
        return self.after(0, sums, sums.finished, prefixes).clone()


class Partial(Running):
    """S = ψ(prefix) − Σ log_q for a callable ψ of prefixes; −inf is final."""

    def start(self, rows: int, device: torch.device) -> None:
        """ψ of nothing is 0."""
        self.psi = torch.zeros(rows, dtype=torch.float64, device=device)

    def select(self, index: Tensor) -> None:
        """Gather rows."""
        self.psi = self.psi[index]

    def after(self, t: int, sums: SequenceState, was_live: Tensor, prefixes: Prefixes) -> Tensor:
        """Ask for the rows that drew a token, unless they have −inf."""
        assert callable(self.target)
        rows = (was_live & (self.psi > -torch.inf)).nonzero()[:, 0]
        if len(rows):
            self.psi[rows] = called(self.target, prefixes(rows))
        return self.psi - sums.sum_log_q

    def final(self, sums: SequenceState, prefixes: Prefixes) -> Tensor:
        """ψ of an ended string is its ln target."""
        return self.psi - sums.sum_log_q


class Bridged(Running):
    """S = a_t Σ log_p − Σ log_q on the way to target "power": a_t goes from 1 to 1/τ in b steps."""

    def __init__(self, inverse: Tensor, steps: int) -> None:
        super().__init__("power")
        self.inverse, self.steps = inverse, steps  # 1/τ, [1 | B]

    def after(self, t: int, sums: SequenceState, was_live: Tensor, prefixes: Prefixes) -> Tensor:
        """Use 1/τ where a string has ended."""
        inverse = self.inverse.to(sums.length.device)
        exponent = 1 + (inverse - 1) * min(t / self.steps, 1.0)
        return torch.where(sums.finished, inverse, exponent) * sums.sum_log_p - sums.sum_log_q

    def final(self, sums: SequenceState, prefixes: Prefixes) -> Tensor:
        """Use 1/τ everywhere."""
        return self.inverse.to(sums.length.device) * sums.sum_log_p - sums.sum_log_q
