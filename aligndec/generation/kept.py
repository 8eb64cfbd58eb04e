"""The kept sets of a run: collected token by token, one row of `KeptSets` for each token."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from aligndec.shared import at_least, offsets_of
from aligndec.step import Adaptor, KeptSets

__all__ = ["DrawnSets", "SetRecords", "most_ids", "of_strings", "scales_of", "widened"]

Scale = tuple[float, tuple[float, float, float] | None]
"""What an adaptor scales logits by: temperature and dynamic temperature."""


class DrawnSets(KeptSets):
    """Kept sets that know at which temperatures they were drawn, and whether under penalties."""

    scales: frozenset[Scale] = frozenset()
    edited: bool = False

    def __reduce__(self) -> Any:
        # Stored as plain sets: a `Generation` says the temperatures again.
        return KeptSets(*self).__reduce__()


def scales_of(adaptors: tuple[Adaptor, ...]) -> frozenset[Scale]:
    """Return the temperatures of some adaptors."""
    return frozenset((a.temperature, a.dynamic_temperature) for a in adaptors)


def most_ids(keep_sets: Any) -> int | None:
    """Return `max_ids` of `keep_sets`, which is not False; None: sets of any size."""
    if isinstance(keep_sets, bool):
        return None
    at_least("generate", 1, keep_sets=keep_sets)
    return int(keep_sets)


@dataclass
class SetRecords:
    """The kept sets of N strings; a step brings those of its rows."""

    max_ids: int | None
    parts: list[tuple[int, Tensor, KeptSets]] = field(default_factory=list)

    def add(self, t: int, rows: Tensor, sets: KeptSets) -> None:
        """Keep the sets of token t of the strings `rows`; sets of strings that ended are empty."""
        self.parts.append((t, rows, sets))

    def sets(self, n: int, width: int) -> KeptSets:
        """Return N · `width` sets, row = string · width + token, empty after the end."""
        # Steps after the last end are those of a device that is not asked at every step.
        parts = [part for part in self.parts if part[0] < width]
        every = KeptSets.cat([sets for _, _, sets in parts])
        place = torch.cat([rows * width + t for t, rows, _ in parts])
        # One row more, empty, stands for every token that no string has.
        source = torch.full((n * width,), len(place), dtype=torch.int64, device=place.device)
        source[place] = torch.arange(len(place), device=place.device)
        offsets, complete = every.offsets, every.complete
        offsets, complete = torch.cat([offsets, offsets[-1:]]), pad(complete, (0, 1), value=True)
        return KeptSets(every.ids, offsets, complete).select(source)


def of_strings(sets: KeptSets, index: Tensor, n: int) -> KeptSets:
    """Gather the sets of whole strings, out of n; `index` as for a tensor [n, ...]."""
    width = sets.batch // max(n, 1)
    tokens = torch.arange(n * width, device=sets.offsets.device).reshape(n, width)
    return sets.select(tokens[index].reshape(-1))


def widened(sets: KeptSets, n: int, width: int) -> KeptSets:
    """Return the sets of n strings with room for `width` tokens each, empty sets at their ends."""
    lengths, complete = sets.offsets.diff().reshape(n, -1), sets.complete.reshape(n, -1)
    more = (0, width - lengths.shape[1])
    return KeptSets(
        sets.ids,
        offsets_of(pad(lengths, more).reshape(-1)),
        pad(complete, more, value=True).reshape(-1),
    )
