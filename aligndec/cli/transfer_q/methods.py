"""The methods that `aligndec transfer-q` runs beside each other, and the sizes of a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

from aligndec import best_of_n
from aligndec import transfer_q as tq

__all__ = ["FULL", "METHODS", "QUICK", "Method", "Settings"]


@dataclass(frozen=True)
class Settings:
    """Sizes of a run. All methods but ARGS and plain sampling read about as many tokens."""

    k: int = 10
    alpha: float = 0.1
    beta: float = 0.1
    rollout_tokens: int = 20
    max_new_tokens: int = 32
    draws: int = 1
    seed: int = 0

    @property
    def strings(self) -> int:
        """Whole strings that cost what Transfer Q* reads for one."""
        return self.k * self.rollout_tokens

    @property
    def block(self) -> int:
        """Tokens per block: four decisions per string."""
        return -(-self.max_new_tokens // 4)


FULL = Settings()
QUICK = Settings(k=4, rollout_tokens=6, max_new_tokens=12)


class Method(NamedTuple):
    """How a method is built, what the KL of a string is at most, and what figures call it.

    `kl` gives a number per string, [N], or one that is the same for all.
    """

    build: Callable[[Any, Any, Settings], Any]
    kl: Callable[[tq.TransferQGeneration, Settings], Tensor | float]
    title: str


def _along(out: tq.TransferQGeneration, settings: Settings) -> Tensor:
    # The KL on the candidates plus what lies outside of them, along the strings.
    return out.kl - out.log_kept


def _best(out: tq.TransferQGeneration, settings: Settings) -> float:
    return _bound(settings)


def _blocks(out: tq.TransferQGeneration, settings: Settings) -> Tensor:
    return (out.length.double() / settings.block).ceil() * _bound(settings)


def _bound(settings: Settings) -> float:
    return float(best_of_n.kl_bound(settings.strings))


def _transfer(**options: Any) -> Callable[[Any, Any, Settings], Any]:
    def build(model: Any, reward: Any, s: Settings) -> Any:
        fixed = {"k": s.k, "alpha": s.alpha, "rollout_tokens": s.rollout_tokens}
        return tq.TransferQ(model, reward, **{**fixed, **options})

    return build


def _soft(model: Any, reward: Any, s: Settings) -> Any:
    # Two rollouts of half as many candidates: with one rollout soft and direct are the same.
    return _transfer(mode="soft", beta=s.beta, n_rollouts=2, rollout="sample", k=max(2, s.k // 2))(
        model, reward, s
    )


METHODS: dict[str, Method] = {
    "sampling": Method(_transfer(gate_entropy=math.inf), _along, "plain sampling"),
    "TransferQ direct": Method(_transfer(), _along, "Transfer Q* direct"),
    "TransferQ soft": Method(_soft, _along, "Transfer Q* soft"),
    "ControlledDecoding": Method(
        lambda model, reward, s: tq.ControlledDecoding(
            model, reward, k=s.k, alpha=s.alpha, rollout_tokens=s.rollout_tokens
        ),
        _along,
        "controlled decoding",
    ),
    "Args": Method(
        lambda model, reward, s: tq.Args(model, reward, k=s.k, alpha=s.alpha, select="sample"),
        _along,
        "ARGS, sampled",
    ),
    "BestOfN": Method(
        lambda model, reward, s: tq.BestOfN(model, reward, n=s.strings), _best, "best of n"
    ),
    "BlockwiseBestOfN": Method(
        lambda model, reward, s: tq.BlockwiseBestOfN(
            model, reward, n=s.strings, block_size=s.block
        ),
        _blocks,
        "best of n, by blocks",
    ),
}
