"""Adaptors as the kernels read them: rows of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from aligndec.reference import COLUMNS, beyond_temperature
from aligndec.shared import whole
from aligndec.step.adaptors import Adaptor

__all__ = ["PackedAdaptors", "as_list", "pack", "row_of", "rows_of"]


@dataclass(frozen=True, eq=False)
class PackedAdaptors:
    """Adaptors as the kernels read them: made once by `pack`, used at every step.

    `params` float64 [1 | B, COLUMNS] for `batch` = B rows; `stateful`, `xtc`: whether one of them
    is, or has it; `cuts`: whether one does more than scale.
    """

    params: Tensor
    batch: int
    stateful: bool = False
    xtc: bool = False
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
        listed = [adaptors]
    else:
        listed = as_list("pack", adaptors, "adaptors")
    if len(listed) != batch and not isinstance(adaptors, Adaptor):
        raise ValueError(f"pack: adaptors must be 1 or B = {batch} Adaptors, got {len(listed)}")
    cuts = any(beyond_temperature(a) for a in listed)
    flags = (any(a.stateful for a in listed), any(a.xtc is not None for a in listed), cuts)
    return PackedAdaptors(rows_of(listed).to(device), batch, *flags)


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
    """Parameters of several adaptors: float64 [A, COLUMNS] on the CPU."""
    if not adaptors:
        return torch.empty(0, COLUMNS, dtype=torch.float64)
    return torch.cat([row_of(a) for a in adaptors])


def row_of(adaptor: Adaptor) -> Tensor:
    """Parameters of one adaptor: float64 [1, COLUMNS] on the CPU."""
    row: Tensor = adaptor._row  # type: ignore[attr-defined]
    return row
