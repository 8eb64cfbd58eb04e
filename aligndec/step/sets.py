"""Kept sets as data: which tokens survived in each row, to be kept, sent and replayed."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aligndec.shared import dense, offsets_of, picked, result
from aligndec.step.sparse_checks import check_rows, sorted_rows

__all__ = ["KeptSets", "given_sets"]


@result
class KeptSets(NamedTuple):
    """The kept set of each of B rows of logits, as a sparse matrix in compressed rows.

    `ids` int32 [nnz], ascending within a row; `offsets` int64 [B + 1]: row b holds
    ids[offsets[b]:offsets[b + 1]]; `complete` bool [B]: where it is False the set is unknown
    (it was larger than `max_ids`) and no ids are stored. nnz may exceed offsets[B]; what lies
    behind is not read.
    """

    ids: Tensor
    offsets: Tensor
    complete: Tensor

    @property
    def batch(self) -> int:
        """Number of rows B."""
        return len(self.offsets) - 1

    def lists(self) -> list[list[int]]:
        """Return the ids of every row as lists; an incomplete row is empty."""
        ids, at = self.ids.tolist(), self.offsets.tolist()
        return [ids[a:b] for a, b in pairwise(at)]

    def mask(self, vocab: int) -> Tensor:
        """Return the sets as bool [B, V]; an incomplete row is all False."""
        self.check("KeptSets.mask", self.batch, vocab, self.ids.device)
        return dense(self.ids, self.offsets, True, vocab) & self.complete[:, None]

    def select(self, index: Tensor) -> KeptSets:
        """Gather rows: repeat, drop or reorder. `index` int64 [B2]."""
        if not isinstance(index, Tensor) or index.dim() != 1 or index.dtype != torch.int64:
            is_tensor = isinstance(index, Tensor)
            got = f"{index.dtype} {list(index.shape)}" if is_tensor else repr(index)
            raise ValueError(f"KeptSets.select: index must be int64 [B2], got {got}")
        index = index.to(self.ids.device)
        entries, offsets = picked(self.offsets, index)
        return KeptSets(self.ids[entries], offsets, self.complete[index])

    def to(self, device: str | torch.device) -> KeptSets:
        """Return the same sets on `device`."""
        return KeptSets(self.ids.to(device), self.offsets.to(device), self.complete.to(device))

    def check(self, function: str, batch: int, vocab: int, device: torch.device) -> None:
        """Refuse sets that are not of `batch` rows over `vocab` tokens on `device`."""
        check_rows(function, "kept", self.ids, self.offsets, batch, vocab, device)
        complete = self.complete
        if not (
            isinstance(complete, Tensor)
            and complete.dtype == torch.bool
            and complete.shape == (batch,)
            and complete.device == device
        ):
            is_tensor = isinstance(complete, Tensor)
            got = f"{complete.dtype} {list(complete.shape)}" if is_tensor else repr(complete)
            raise ValueError(
                f"{function}: kept.complete must be bool [B] = [{batch}] on {device}, got {got}"
            )

    @staticmethod
    def from_mask(mask: Tensor) -> KeptSets:
        """Return the sets that a mask bool [B, V] shows."""
        if not isinstance(mask, Tensor) or mask.dtype != torch.bool or mask.dim() != 2:
            got = f"{mask.dtype} {list(mask.shape)}" if isinstance(mask, Tensor) else repr(mask)
            raise ValueError(f"KeptSets.from_mask: mask must be bool [B, V], got {got}")
        offsets = offsets_of(mask.sum(1))
        complete = torch.ones(len(mask), dtype=torch.bool, device=mask.device)
        return KeptSets(mask.nonzero()[:, 1].int(), offsets, complete)

    @staticmethod
    def from_lists(lists: Sequence[Sequence[int]]) -> KeptSets:
        """Return the sets of lists of token ids, which are sorted; no id twice in a list."""
        ids, offsets = sorted_rows("KeptSets.from_lists", "lists", lists)
        return KeptSets(ids, offsets, torch.ones(len(lists), dtype=torch.bool))

    @staticmethod
    def cat(sets: Sequence[KeptSets]) -> KeptSets:
        """Return the rows of all sets, one after the other."""
        if not isinstance(sets, Sequence) or not all(isinstance(s, KeptSets) for s in sets):
            raise TypeError(f"KeptSets.cat: sets must be a list of KeptSets, got {sets!r:.80}")
        if len(sets) == 0:
            return KeptSets.from_lists([])
        lengths = torch.cat([s.offsets.diff() for s in sets])
        ids = torch.cat([s.ids[: int(s.offsets[-1])] for s in sets])
        return KeptSets(ids, offsets_of(lengths), torch.cat([s.complete for s in sets]))


def given_sets(
    function: str, kept: Any, lead: Sequence[int], batch: int, vocab: int, device: torch.device
) -> KeptSets:
    """Check `kept`: KeptSets of `batch` rows, or a mask bool [..., V] that broadcasts to `lead`."""
    if isinstance(kept, Tensor) and kept.dtype == torch.bool:
        try:
            rows = kept.expand(*lead, vocab).reshape(-1, vocab)
        except RuntimeError:
            raise ValueError(
                f"{function}: kept must be KeptSets or bool [..., V] that broadcasts to "
                f"{[*lead, vocab]}, got {list(kept.shape)}"
            ) from None
        kept = KeptSets.from_mask(rows)
    elif not isinstance(kept, KeptSets):
        raise TypeError(f"{function}: kept must be KeptSets or a bool Tensor, got {kept!r:.80}")
    sets: KeptSets = kept
    sets.check(function, batch, vocab, device)
    return sets
