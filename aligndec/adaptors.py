"""Sampling adaptors: how the next-token law is scaled and truncated before a token is drawn."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from aligndec._columns import COLUMNS, beyond_temperature, check, columns, count, number, whole

__all__ = [
    "COLUMNS",
    "FIELDS",
    "Adaptor",
    "Field",
    "PackedAdaptors",
    "as_list",
    "pack",
    "row_of",
    "rows_of",
]


class Field(NamedTuple):
    """One field of `Adaptor` that cuts the law: what documentation, tests and benches iterate.

    `off` is the value that skips the stage, `column` its place in the packed parameters, `keeps`
    the condition under which token i stays (p̂: the law that enters the stage).
    """

    name: str
    off: float
    column: int
    allowed: str
    keeps: str


FIELDS: tuple[Field, ...] = (
    Field("top_k", 0, 3, ">= 0", "#{j : p̂_j > p̂_i} < k"),
    Field("top_p", 1.0, 4, "in (0, 1]", "Σ_{p̂_j > p̂_i} p̂_j < top_p"),
    Field("min_p", 0.0, 5, "in [0, 1]", "p̂_i ≥ min_p · max p̂"),
    Field("typical_p", 1.0, 6, "in (0, 1]", "Σ_{d_j < d_i} p̂_j < typical_p, d = |−ln p̂ − H(p̂)|"),
    Field("epsilon_cutoff", 0.0, 7, "in [0, 1)", "p̂_i ≥ ε"),
    Field("eta_cutoff", 0.0, 8, "in [0, 1)", "p̂_i ≥ min(η, √η · exp(−H(p̂)))"),
    Field("top_n_sigma", 0.0, 9, ">= 0 and finite", "x_i ≥ max x − n·σ(x)"),
)
"""The truncation stages in the order in which they are applied, after the temperature."""


@dataclass(frozen=True)
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

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name not in ("top_k", "cut_on"):
                object.__setattr__(self, field.name, number(field.name, getattr(self, field.name)))
        object.__setattr__(self, "top_k", count("top_k", self.top_k))
        t = self.temperature
        check(t == 0.0 or 1e-3 <= t <= 1e3, "temperature", "0 or in [1e-3, 1e3]", t)
        check(0.0 < self.top_p <= 1.0, "top_p", "in (0, 1]", self.top_p)
        check(0.0 <= self.min_p <= 1.0, "min_p", "in [0, 1]", self.min_p)
        check(0.0 < self.typical_p <= 1.0, "typical_p", "in (0, 1]", self.typical_p)
        for name in ("epsilon_cutoff", "eta_cutoff"):
            check(0.0 <= getattr(self, name) < 1.0, name, "in [0, 1)", getattr(self, name))
        sigma = self.top_n_sigma
        check(0.0 <= sigma < math.inf, "top_n_sigma", ">= 0 and finite", sigma)
        check(self.cut_on in ("scaled", "base"), "cut_on", "'scaled' or 'base'", self.cut_on)
        tau = self.mirostat_tau
        check(0.0 <= tau < math.inf, "mirostat_tau", ">= 0 and finite", tau)
        others = [f.name for f in FIELDS if getattr(self, f.name) != f.off]
        others += ["cut_on"] if self.cut_on == "base" else []
        alone = "0 together with " + ", ".join(others) + " (mirostat may follow a temperature only)"
        check(tau == 0.0 or not others, "mirostat_tau", alone, tau)
        check(0.0 < self.mirostat_lr < math.inf, "mirostat_lr", "> 0", self.mirostat_lr)
        # Packed once: a tensor that every call passes as it is (also while compiling).
        with torch.inference_mode(False):
            row = torch.tensor([columns(self)], dtype=torch.float64, device="cpu")
        object.__setattr__(self, "_row", row)
        object.__setattr__(self, "_copies", {})

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]

    @property
    def stateful(self) -> bool:
        """Whether the kept set depends on the tokens before: mirostat."""
        return self.mirostat_tau > 0.0 and self.temperature > 0.0

    @classmethod
    def from_generation_config(cls, config: Any) -> Adaptor:
        """Translate a transformers `GenerationConfig`.

        Parameters
        ----------
        config : transformers.GenerationConfig
            Fields that are None are off. `do_sample` False or None gives temperature 0.

        Returns
        -------
        Adaptor

        Raises
        ------
        ValueError
            When the config asks for something that has no counterpart here (top_h, penalties,
            beams, forced or forbidden tokens, ...); the message names it.
        """
        from aligndec._config import fields_of

        return cls(**fields_of(config))


@dataclass(frozen=True, eq=False)
class PackedAdaptors:
    """Adaptors as the kernels read them: made once by `pack`, used at every step.

    `params` float64 [1 | B, 13] for `batch` = B rows; `stateful`: whether one of them is; `cuts`:
    whether one of them does more than scale.
    """

    params: Tensor
    batch: int
    stateful: bool = False
    cuts: bool = False

    def to(self, device: str | torch.device) -> PackedAdaptors:
        """Return the same adaptors on `device`."""
        return replace(self, params=self.params.to(device))


def pack(
    adaptors: Adaptor | Sequence[Adaptor] | PackedAdaptors,
    batch: int,
    *,
    device: str | torch.device = "cpu",
) -> PackedAdaptors:
    """Pack one adaptor, or one per row, for calls on `batch` rows.

    Parameters
    ----------
    adaptors : Adaptor, sequence of B Adaptors, or PackedAdaptors
        Any kinds may be mixed.
    batch : int
        B >= 0.
    device : str or torch.device
        Where the logits are.

    Returns
    -------
    PackedAdaptors
        Accepted wherever an adaptor is.
    """
    batch = whole("pack", "batch", batch)
    if batch < 0:
        raise ValueError(f"pack: batch must be >= 0, got {batch}")
    if isinstance(adaptors, PackedAdaptors):
        if adaptors.batch != batch:
            raise ValueError(f"pack: adaptors must serve B = {batch} rows, got {adaptors.batch}")
        return adaptors.to(device)
    if isinstance(adaptors, Adaptor):
        row = row_of(adaptors).to(device)
        return PackedAdaptors(row, batch, adaptors.stateful, bool(beyond_temperature(adaptors)))
    listed = as_list("pack", adaptors, "adaptors")
    if len(listed) != batch:
        raise ValueError(f"pack: adaptors must be 1 or B = {batch} Adaptors, got {len(listed)}")
    stateful, cuts = (any(a.stateful for a in listed), any(beyond_temperature(a) for a in listed))
    return PackedAdaptors(rows_of(listed).to(device), batch, stateful, cuts)


def as_list(
    function: str,
    adaptors: Any,
    name: str = "adaptor",
    what: str = "an Adaptor, a sequence of Adaptors or PackedAdaptors",
) -> list[Adaptor]:
    """Return a sequence of adaptors as a list, refusing everything else."""
    listed = list(adaptors) if isinstance(adaptors, Sequence) else [adaptors]
    wrong = [type(a).__name__ for a in listed if not isinstance(a, Adaptor)]
    if wrong:
        raise TypeError(f"{function}: {name} must be {what}, got {wrong[0]}")
    return listed


def rows_of(adaptors: Sequence[Adaptor]) -> Tensor:
    """Parameters of several adaptors: float64 [A, 13] on the CPU."""
    if not adaptors:
        return torch.empty(0, COLUMNS, dtype=torch.float64)
    return torch.cat([row_of(a) for a in adaptors])


def row_of(adaptor: Adaptor) -> Tensor:
    """Parameters of one adaptor: float64 [1, 13] on the CPU."""
    row: Tensor = adaptor._row  # type: ignore[attr-defined]
    return row
