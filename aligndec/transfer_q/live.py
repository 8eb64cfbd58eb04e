"""The strings that are still running, and one decision about them: s_t of the paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from aligndec.transfer_q.cursor import Cursor

__all__ = ["Decision", "Live"]


@dataclass(frozen=True)
class Live:
    """b strings: their rows int64 [b] of the records, their sequence ids, where the models stand.

    `baseline` is π_BL; `sft` π_sft, where it is used.
    """

    rows: Tensor
    sequence_ids: Tensor
    baseline: Cursor
    sft: Cursor | None = None

    def select(self, index: Tensor) -> Live:
        """Gather strings."""
        sft = None if self.sft is None else self.sft.select(index)
        return Live(self.rows[index], self.sequence_ids[index], self.baseline.select(index), sft)


class Decision(NamedTuple):
    """Where the loop stands: a block of `size` tokens from position t on, maybe the `last`.

    With the sequence id of a string, a candidate, a rollout and its step, `seed` and t name every
    random number.
    """

    seed: int
    t: int
    size: int
    last: bool
