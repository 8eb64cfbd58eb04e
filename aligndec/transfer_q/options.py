"""The options of Transfer Q* and what they exclude."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from aligndec.shared import plain_fields, real, whole
from aligndec.step import Adaptor

__all__ = ["BASE", "GREEDY", "Options", "ValueFn"]

# Made once: an adaptor keeps its parameters on the devices that it was used on.
BASE, GREEDY = Adaptor(), Adaptor(temperature=0.0)

ValueFn = Callable[[list[list[int]], list[list[int]], Tensor], Tensor]

_CHOICES = {
    "rollout": ("greedy", "sample"),
    "mode": ("direct", "indirect", "soft"),
    "reference": ("baseline", "sft"),
    "candidates": ("topk", "sample", "full"),
    "select": ("sample", "greedy"),
    "compat": (None, "official"),
}


@dataclass(frozen=True, kw_only=True)
class Options:
    """What `TransferQ` is built with, checked by `check`.

    `secret`: the baseline's reward is known through its densities only. `uniform`: the candidates
    are independent draws, so that all count alike (blockwise best-of-n).
    """

    k: int = 10
    alpha: float = 1.0
    n_rollouts: int = 1
    rollout_tokens: int = 20
    rollout: str = "greedy"
    mode: str = "direct"
    beta: float | None = None
    reference: str = "baseline"
    candidates: str = "topk"
    select: str = "sample"
    rollout_adaptor: Adaptor = BASE
    value_fn: ValueFn | None = None
    gate_entropy: float | None = None
    gate_top1: float | None = None
    block_size: int = 1
    compat: str | None = None
    secret: bool = False
    uniform: bool = False

    def __post_init__(self) -> None:
        plain_fields(self)

    @property
    def look_ahead(self) -> int:
        """Tokens of a rollout, 0 when a value function replaces them."""
        return 0 if self.value_fn is not None else self.rollout_tokens

    def check(self, function: str, *, has_baseline_reward: bool, has_sft: bool) -> Options:
        """Refuse what has no meaning; return the options as they are used."""

        def need(good: bool, name: str, what: str, got: Any) -> None:
            if not good:
                raise ValueError(f"{function}: {name} must be {what}, got {got!r}")

        for name, allowed in _CHOICES.items():
            value = getattr(self, name)
            need(value in allowed, name, "one of " + ", ".join(map(repr, allowed)), value)
        lowest = {"k": 1, "n_rollouts": 1, "rollout_tokens": 0, "block_size": 1}
        for name, least in lowest.items():
            value = whole(function, name, getattr(self, name))
            need(value >= least, name, f">= {least}", value)
        for name in ("alpha", "beta", "gate_entropy", "gate_top1"):
            value = getattr(self, name)
            if value is not None or name == "alpha":
                real(function, name, value)
        need(self.alpha > 0, "alpha", "> 0", self.alpha)
        if self.beta is not None:
            need(0 < self.beta < math.inf, "beta", "> 0 and finite", self.beta)
        if not isinstance(self.rollout_adaptor, Adaptor):
            raise TypeError(
                f"{function}: rollout_adaptor must be an Adaptor, got {self.rollout_adaptor!r}"
            )
        need(
            not self.rollout_adaptor.stateful,
            "rollout_adaptor",
            "without mirostat (its threshold belongs to a string, not to a rollout)",
            self.rollout_adaptor,
        )
        self._check_mode(function, need, has_baseline_reward, has_sft)
        if self.reference == "sft":
            need(has_sft, "sft", "given for reference='sft'", None)
        if self.value_fn is not None:
            need(callable(self.value_fn), "value_fn", "callable", self.value_fn)
            need(self.mode == "direct", "mode", "'direct' with value_fn", self.mode)
            need(self.block_size == 1, "block_size", "1 with value_fn", self.block_size)
        if self.gate_entropy is not None:
            need(self.gate_entropy >= 0, "gate_entropy", ">= 0 (nats)", self.gate_entropy)
        if self.gate_top1 is not None:
            need(0 < self.gate_top1 <= 1, "gate_top1", "in (0, 1]", self.gate_top1)
        if self.gate_entropy is not None or self.gate_top1 is not None:
            need(self.block_size == 1, "block_size", "1 with a gate", self.block_size)
        return self._official(need) if self.compat == "official" else self

    def _check_mode(
        self, function: str, need: Callable[..., None], has_baseline_reward: bool, has_sft: bool
    ) -> None:
        official = self.compat == "official"
        if self.mode == "direct":
            return
        need(self.beta is not None, "beta", f"given for mode={self.mode!r}", None)
        if self.mode == "soft":
            need(not official, "mode", "'direct' or 'indirect' with compat='official'", self.mode)
            return
        if not (has_baseline_reward or has_sft):
            raise ValueError(
                f"{function}: baseline_reward or sft must be given for mode='indirect', got "
                "neither (the baseline's own reward, or the model it was aligned from)"
            )
        if official:
            return
        need(
            self.n_rollouts >= 2,
            "n_rollouts",
            ">= 2 for mode='indirect' (the weight of a single rollout cancels; "
            "mode='direct' is what is left)",
            self.n_rollouts,
        )
        need(
            self.rollout == "sample",
            "rollout",
            "'sample' for mode='indirect' (equal rollouts have equal weights, which cancel)",
            self.rollout,
        )

    def _official(self, need: Callable[..., None]) -> Options:
        """Return the choices of the public code: one greedy rollout, top-k, the best score."""
        fixed = {"n_rollouts": 1, "rollout": "greedy", "candidates": "topk", "block_size": 1}
        fixed |= {"reference": "baseline", "value_fn": None}
        for name, value in fixed.items():
            got = getattr(self, name)
            need(got == value, name, f"{value!r} with compat='official'", got)
        return dataclasses.replace(self, select="greedy", secret=False)
