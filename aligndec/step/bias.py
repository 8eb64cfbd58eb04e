"""Sparse additive logits: what penalties, banned words and logit biases come to."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from aligndec.shared import picked, result
from aligndec.step.sparse_checks import check_rows

__all__ = ["LogitBias", "given_bias"]


@result
class LogitBias(NamedTuple):
    """What is added to the logits of each of B rows, as a sparse matrix in compressed rows.

    `ids` int32 [nnz], ascending within a row; `offsets` int64 [B + 1]: row b holds the entries
    [offsets[b], offsets[b + 1]); `values` float32 [nnz], finite or −inf (the token cannot be
    drawn). The law that is scaled, cut and drawn from is that of x + b; log_p and entropy stay
    those of x.
    """

    ids: Tensor
    offsets: Tensor
    values: Tensor

    @property
    def batch(self) -> int:
        """Number of rows B."""
        return len(self.offsets) - 1

    def select(self, index: Tensor) -> LogitBias:
        """Gather rows: repeat, drop or reorder. `index` int64 [B2]."""
        entries, offsets = picked(self.offsets, index)
        return LogitBias(self.ids[entries], offsets, self.values[entries])

    def to(self, device: str | torch.device) -> LogitBias:
        """Return the same biases on `device`."""
        return LogitBias(self.ids.to(device), self.offsets.to(device), self.values.to(device))


def given_bias(function: str, bias: Any, batch: int, vocab: int, device: torch.device) -> LogitBias:
    """Check `bias`: a LogitBias of `batch` rows; on the CPU its values too."""
    if not isinstance(bias, LogitBias):
        raise TypeError(f"{function}: bias must be a LogitBias, got {bias!r:.80}")
    ids, offsets, values = bias
    check_rows(function, "bias", ids, offsets, batch, vocab, device)
    if not (
        isinstance(values, Tensor)
        and values.dtype == torch.float32
        and values.shape == ids.shape
        and values.device == device
    ):
        got = f"{values.dtype} {list(values.shape)}" if isinstance(values, Tensor) else values
        raise ValueError(
            f"{function}: bias.values must be float32 [nnz] = {list(ids.shape)} on {device}, "
            f"got {got}"
        )
    if values.is_cpu and not torch.compiler.is_compiling():
        numbers = values.detach().numpy()[: int(offsets[-1])]
        if not (numbers < torch.inf).all():
            wrong = numbers[~(numbers < torch.inf)][0]
            raise ValueError(f"{function}: bias.values must be finite or -inf, got {wrong}")
    return bias
