"""Sampling adaptors: how the next-token law is scaled and truncated before a token is drawn."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch

from aligndec.reference import (
    COLUMNS,
    FIELDS,
    TUPLES,
    Field,
    check,
    columns,
    count,
    number,
    several,
)
from aligndec.shared import result

__all__ = ["COLUMNS", "FIELDS", "Adaptor", "Field"]


@result
@dataclass(frozen=True, repr=False)
class Adaptor:
    """How a next-token law is adapted; `Adaptor()` is the identity (ancestral sampling).

    The stages are applied in the order of the fields, each on the law that the earlier ones left,
    renormalised; ties are kept. `FIELDS` holds the condition of every stage.

    Parameters
    ----------
    temperature : float
        τ: 0 (greedy, all other fields are ignored) or in [1e-3, 1e3]. Ackley et al. 1985.
    top_k : int
        Keep the k most probable tokens. 0 is off. Fan et al. 2018.
    top_p : float
        Keep the most probable tokens up to this mass, the crossing one included. In (0, 1], 1 is
        off. Holtzman et al. 2020.
    min_p : float
        Keep tokens of at least this share of the largest probability. In [0, 1], 0 is off.
        Nguyen et al. 2024.
    typical_p : float
        Keep the tokens whose surprise is closest to the entropy up to this mass. In (0, 1], 1 is
        off. Meister et al. 2023. It may drop the most probable token.
    epsilon_cutoff : float
        Keep tokens of at least this probability. In [0, 1), 0 is off. Hewitt et al. 2022.
    eta_cutoff : float
        Keep tokens of at least min(η, √η·exp(−H)). In [0, 1), 0 is off. Hewitt et al. 2022.
    top_n_sigma : float
        Keep tokens whose logit is within n standard deviations of the largest. 0 is off.
        Tang et al. 2024.
    cut_on : {"scaled", "base"}
        The law on which sets are taken: p_τ (the meaning in transformers), or the one at τ = 1,
        the temperature then applying to the survivors.
    mirostat_tau : float
        Mirostat 2: aim at this surprise per token, in nats. Keep tokens with −ln p̂ ≤ μ (the most
        probable always); μ starts at 2 τ_m and falls by lr · (−ln p̂(y) − τ_m) with each token y.
        0 is off. Alone or after a temperature; needs a `SequenceState`. Basu et al. 2021.
    mirostat_lr : float
        Its learning rate, > 0. Basu et al. 2021.
    p_less : float
        Order k: keep tokens of at least (Σ p̂^k)^(1/(k − 1)), at k = 2 the chance that two draws
        agree. 0 or in [1.5, 64], 0 is off. Runyan et al. 2025 (arXiv 2509.23234).
    top_h : float
        Keep the most probable tokens while their part of the entropy, Σ −p̂ ln p̂, is at most this
        share of it; the most probable always. In [0, 1], 0 and 1 are off. Potraghloo et al. 2025
        (arXiv 2509.02510).
    top_a : float
        Keep tokens of at least this multiple of the squared largest probability. In [0, 1], 0 is
        off. Peng 2021, known from text-generation-webui.
    dynamic_temperature : (float, float, float), optional
        (low, high, exponent): each row's own τ = low + (high − low) (H / ln n)^exponent, H and n
        the entropy and the number of its tokens at τ = 1. 1e-3 <= low <= high <= 1e3, exponent > 0.
        It takes the place of `temperature`. Entropy-based dynamic temperature of llama.cpp.
    xtc : (float, float), optional
        (t, π): after all cuts, with chance π drop all tokens with p̂ ≥ t but the least probable of
        them, if there are two. t in [2^-20, 1], π in [0, 1]. The coin is a function of (seed,
        sequence id, position), `xtc_coin`. "Exclude top choices" of llama.cpp, 2024.
    """

    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    typical_p: float = 1.0
    epsilon_cutoff: float = 0.0
    eta_cutoff: float = 0.0
    top_n_sigma: float = 0.0
    cut_on: Literal["scaled", "base"] = "scaled"
    mirostat_tau: float = 0.0
    mirostat_lr: float = 0.1
    p_less: float = 0.0
    top_h: float = 0.0
    top_a: float = 0.0
    dynamic_temperature: tuple[float, float, float] | None = None
    xtc: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name not in ("top_k", "cut_on", *TUPLES):
                object.__setattr__(self, field.name, number(field.name, getattr(self, field.name)))
        object.__setattr__(self, "top_k", count("top_k", self.top_k))
        for name in TUPLES:
            object.__setattr__(self, name, several(name, getattr(self, name)))
        t = self.temperature
        check(t == 0.0 or 1e-3 <= t <= 1e3, "temperature", "0 or in [1e-3, 1e3]", t)
        for cut in FIELDS:
            value = getattr(self, cut.name)
            check(cut.holds(value), cut.name, cut.allowed, value)
        dynamic = self.dynamic_temperature is not None
        what = "1 together with dynamic_temperature"
        check(t == 1.0 or not dynamic, "temperature", what, t)
        check(self.cut_on in ("scaled", "base"), "cut_on", "'scaled' or 'base'", self.cut_on)
        tau = self.mirostat_tau
        check(0.0 <= tau < math.inf, "mirostat_tau", ">= 0 and finite", tau)
        others = [f.name for f in FIELDS if getattr(self, f.name) != f.off]
        others += ["cut_on"] if self.cut_on == "base" else []
        others += [name for name in TUPLES if getattr(self, name) is not None]
        alone = "0 together with " + ", ".join(others) + " (mirostat may follow a temperature only)"
        check(tau == 0.0 or not others, "mirostat_tau", alone, tau)
        check(0.0 < self.mirostat_lr < math.inf, "mirostat_lr", "> 0", self.mirostat_lr)
        # Packed once: a tensor that every call passes as it is (also while compiling).
        with torch.inference_mode(False):
            row = torch.tensor([columns(self)], dtype=torch.float64, device="cpu")
        object.__setattr__(self, "_row", row)
        object.__setattr__(self, "_copies", {})

    def __repr__(self) -> str:
        given = (
            (f.name, getattr(self, f.name))
            for f in fields(self)
            if getattr(self, f.name) != f.default
        )
        return f"Adaptor({', '.join(f'{name}={value!r}' for name, value in given)})"

    @property
    def stateful(self) -> bool:
        """Whether the kept set depends on the tokens before: mirostat."""
        return self.mirostat_tau > 0.0 and self.temperature > 0.0

    @classmethod
    def from_generation_config(cls, config: Any, *, penalties: Any = None) -> Adaptor:
        """Translate a transformers `GenerationConfig`.

        Parameters
        ----------
        config : transformers.GenerationConfig
            Fields that are None are off. `do_sample` False or None gives temperature 0.
        penalties : Penalties, optional
            What the penalties of the config are left to (`Penalties.from_generation_config`);
            without it they are refused.

        Returns
        -------
        Adaptor

        Raises
        ------
        ValueError
            When the config asks for something that has no counterpart here (beams, forced tokens,
            ...); the message names it.
        """
        from aligndec.step.generation_config import fields_of

        return cls(**fields_of(config, penalties))
