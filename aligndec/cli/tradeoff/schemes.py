"""Sampling schemes of the trade-off study: five adaptors at five temperatures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from aligndec.step import Adaptor

__all__ = [
    "ALL_FAMILIES",
    "FAMILIES",
    "FULL",
    "QUICK",
    "TEMPERATURES",
    "Scheme",
    "Size",
    "schemes",
]

FAMILIES: dict[str, dict[str, Any]] = {
    "ancestral": {},
    "top-k": {"top_k": 30},
    "nucleus": {"top_p": 0.9},
    "typical": {"typical_p": 0.9},
    "eta": {"eta_cutoff": 9e-4},
}
"""Settings of arXiv 2406.10203, the study's own."""

ALL_FAMILIES: dict[str, dict[str, Any]] = FAMILIES | {
    "p-less": {"p_less": 2.0},
    "top-h": {"top_h": 0.4},
    "top-a": {"top_a": 0.2},
}
"""These and later ones, which a study takes when they are named."""

TEMPERATURES = (0.5, 0.75, 1.0, 1.25, 1.5)


class Size(NamedTuple):
    """How large a study is; `n_prompts` None takes all."""

    max_new_tokens: int
    draws: int
    n_corpora: int
    corpus_size: int
    n_prompts: int | None


FULL = Size(max_new_tokens=28, draws=32, n_corpora=2000, corpus_size=200_000, n_prompts=None)
QUICK = Size(max_new_tokens=8, draws=8, n_corpora=100, corpus_size=300, n_prompts=3)


@dataclass(frozen=True)
class Scheme:
    """An adaptor family at a temperature, or an adaptor that is given under any name."""

    family: str
    temperature: float
    given: Adaptor | None = None

    @property
    def name(self) -> str:
        """As shown and as part of file names, such as `top-k-0.5`."""
        return f"{self.family}-{self.temperature:g}" if self.given is None else self.family

    @property
    def adaptor(self) -> Adaptor:
        """The adaptor itself: the temperature first, the cut on the scaled law."""
        if self.given is not None:
            return self.given
        return Adaptor(temperature=self.temperature, **ALL_FAMILIES[self.family])


def schemes(families: list[str], temperatures: list[float]) -> list[Scheme]:
    """All combinations, families first."""
    return [Scheme(family, temperature) for family in families for temperature in temperatures]
