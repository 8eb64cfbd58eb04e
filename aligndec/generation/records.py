"""What is kept of the strings of a run, in the order in which they were asked for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aligndec.generation.kept import SetRecords
from aligndec.step import SUMS, SequenceState

__all__ = ["Records"]


class Records:
    """Everything that is kept of N strings, preallocated.

    `sums` float64 [K, N] and `per_token` float64 [K, N, T] (None unless asked for) hold the K = 5
    sums of `SequenceState` and, with a reference model, log_p_ref; `kept` the sets of each token.
    """

    def __init__(
        self,
        n: int,
        width: int,
        pad: int,
        names: tuple[str, ...],
        per_token: bool,
        kept: SetRecords | None,
        device: Any,
    ) -> None:
        self.names, self.kept = names, kept
        self.tokens = torch.full((n, width), pad, dtype=torch.int64, device=device)
        self.length = torch.zeros(n, dtype=torch.int64, device=device)
        self.status = torch.zeros_like(self.length)
        self.finished = torch.zeros_like(self.length, dtype=torch.bool)
        self.stopped = torch.zeros_like(self.finished)
        self.sums = torch.zeros(len(names), n, dtype=torch.float64, device=device)
        self.per_token = self.sums.new_zeros(len(names), n, width) if per_token else None

    def write_sums(
        self,
        rows: Tensor,
        sums: SequenceState,
        status: Tensor,
        log_p_ref: Tensor | None,
        stopped: Tensor | None,
    ) -> None:
        """Store where the rows of a batch stand; written again for rows that go on."""
        ended = sums.finished & (status == 0)
        if stopped is not None:
            self.stopped.index_copy_(0, rows, stopped)
            ended &= ~stopped
        self.sums[: len(SUMS)].index_copy_(1, rows, sums.sums[: len(SUMS)])
        if log_p_ref is not None:
            self.sums[-1].index_copy_(0, rows, log_p_ref)
        self.length.index_copy_(0, rows, sums.length)
        self.status.index_copy_(0, rows, status)
        self.finished.index_copy_(0, rows, ended)

    def fields(self) -> dict[str, Any]:
        """Return the fields of a `Generation`, cut at the longest string."""
        width = max(1, int(self.length.max()))
        out: dict[str, Any] = {
            name: getattr(self, name) for name in ("length", "status", "finished")
        }
        out["tokens"] = self.tokens[:, :width].contiguous()
        out |= dict(zip(self.names, self.sums, strict=True))
        if self.per_token is not None:
            kept = self.per_token[..., :width].contiguous()
            out |= {f"token_{k}": v for k, v in zip(self.names, kept, strict=True)}
        if self.kept is not None:
            out["kept"] = self.kept.sets(len(self.tokens), width)
        return out
