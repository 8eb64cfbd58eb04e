"""Running sums of a batch of strings, updated inside the fused step."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from aligndec.shared import plain, whole

__all__ = ["SUMS", "SequenceState"]

SUMS = ("log_p", "log_q", "log_z", "log_kept", "kl")


@dataclass(eq=False)
class SequenceState:
    """Where B strings stand: their sums, lengths and ends. `start` makes one.

    `sample` and `score` update it in place: a drawn token adds its numbers, end tokens included;
    finished rows are left alone.

    Attributes
    ----------
    sums : Tensor
        float64 [6, B]: the rows behind `sum_log_p`, `sum_log_q`, `sum_log_z`, `sum_log_kept`,
        `sum_kl` and `mu`, which are views.
    length : Tensor
        int64 [B], tokens counted, end token included.
    finished : Tensor
        bool [B].
    sequence_ids : Tensor
        int64 [B], the counters of the random numbers.
    eos : Tensor or None
        int64 [K], the tokens that end a string.
    pad_token_id : int
        What a finished row emits.
    """

    sums: Tensor
    length: Tensor
    finished: Tensor
    sequence_ids: Tensor
    eos: Tensor | None
    pad_token_id: int

    @staticmethod
    def start(
        batch: int,
        *,
        eos_token_id: int | Sequence[int] = (),
        pad_token_id: int = 0,
        sequence_ids: Tensor | None = None,
        device: str | torch.device = "cpu",
    ) -> SequenceState:
        """Return the state of `batch` empty strings.

        Parameters
        ----------
        batch : int
            B >= 0.
        eos_token_id : int or sequence of int
            Tokens that end a string; none by default.
        pad_token_id : int
            The token of finished rows, >= 0.
        sequence_ids : Tensor, optional
            int64 [B]; default arange(B). Equal ids draw equal tokens from equal logits.
        device : str or torch.device
            Where the logits will be.
        """
        batch = whole("SequenceState.start", "batch", batch)
        if batch < 0:
            raise ValueError(f"SequenceState.start: batch must be >= 0, got {batch}")
        eos_token_id = plain(eos_token_id)
        listed = list(eos_token_id) if isinstance(eos_token_id, Iterable) else [eos_token_id]
        what = "an int or a sequence of ints"
        ids = [whole("SequenceState.start", "eos_token_id", i, what) for i in listed]
        if any(i < 0 for i in ids):
            raise ValueError(f"SequenceState.start: eos_token_id must be >= 0, got {min(ids)}")
        pad = whole("SequenceState.start", "pad_token_id", pad_token_id)
        if pad < 0:
            raise ValueError(f"SequenceState.start: pad_token_id must be >= 0, got {pad}")
        if sequence_ids is None:
            sequence_ids = torch.arange(batch, dtype=torch.int64, device=device)
        elif (
            not isinstance(sequence_ids, Tensor)
            or sequence_ids.shape != (batch,)
            or sequence_ids.dtype != torch.int64
        ):
            is_tensor = isinstance(sequence_ids, Tensor)
            got = f"{sequence_ids.dtype} {list(sequence_ids.shape)}" if is_tensor else sequence_ids
            raise ValueError(
                f"SequenceState.start: sequence_ids must be int64 [B] = [{batch}], got {got}"
            )
        sums = torch.zeros(len(SUMS) + 1, batch, dtype=torch.float64, device=device)
        sums[-1] = torch.nan
        return SequenceState(
            sums=sums,
            length=torch.zeros(batch, dtype=torch.int64, device=device),
            finished=torch.zeros(batch, dtype=torch.bool, device=device),
            sequence_ids=sequence_ids.to(device),
            eos=torch.tensor(ids, dtype=torch.int64, device=device) if ids else None,
            pad_token_id=pad,
        )

    def select(self, index: Tensor) -> SequenceState:
        """Gather rows into a new state: repeat, drop or reorder.

        Parameters
        ----------
        index : Tensor
            int64 [B2], rows of this state.
        """
        if not isinstance(index, Tensor) or index.dim() != 1 or index.dtype != torch.int64:
            is_tensor = isinstance(index, Tensor)
            got = f"{index.dtype} {list(index.shape)}" if is_tensor else index
            raise ValueError(f"SequenceState.select: index must be int64 [B2], got {got}")
        rows = self.length.shape[0]
        if index.is_cpu and not torch.compiler.is_compiling():
            outside = (index < 0) | (index >= rows)
            if bool(outside.any()):
                first = int(index[outside][0])
                raise ValueError(
                    f"SequenceState.select: index must be in [0, B) = [0, {rows}), got {first}"
                )
        index = index.to(self.length.device)
        return SequenceState(
            sums=self.sums[:, index].contiguous(),
            length=self.length[index],
            finished=self.finished[index],
            sequence_ids=self.sequence_ids[index],
            eos=self.eos,
            pad_token_id=self.pad_token_id,
        )

    def write(self, index: Tensor, rows: SequenceState) -> None:
        """Put what `select(index)` returned, and a step then changed, in its place."""
        self.sums[:, index] = rows.sums
        self.length[index] = rows.length
        self.finished[index] = rows.finished

    def join(self, other: SequenceState) -> SequenceState:
        """Return a new state with the rows of this one and then those of `other`."""
        return SequenceState(
            sums=torch.cat([self.sums, other.sums], 1),
            length=torch.cat([self.length, other.length]),
            finished=torch.cat([self.finished, other.finished]),
            sequence_ids=torch.cat([self.sequence_ids, other.sequence_ids]),
            eos=self.eos,
            pad_token_id=self.pad_token_id,
        )

    @property
    def sum_log_p(self) -> Tensor:
        """Σ log_p, float64 [B]."""
        return self.sums[0]

    @property
    def sum_log_q(self) -> Tensor:
        """Σ log_q, float64 [B]."""
        return self.sums[1]

    @property
    def sum_log_z(self) -> Tensor:
        """Σ log_z, float64 [B]."""
        return self.sums[2]

    @property
    def sum_log_kept(self) -> Tensor:
        """Σ log_kept, float64 [B]."""
        return self.sums[3]

    @property
    def sum_kl(self) -> Tensor:
        """Σ kl, float64 [B]."""
        return self.sums[4]

    @property
    def mu(self) -> Tensor:
        """Threshold of mirostat in nats, float64 [B]; NaN before the first token under it."""
        return self.sums[5]
