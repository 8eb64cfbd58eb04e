"""The logits processor that draws: what vLLM samples afterwards has one token left."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aligndec.integrations.engine import BookLog, DrawBatch, DrawRequest
from aligndec.integrations.vllm import compat
from aligndec.integrations.vllm.params import check_params, request_in

__all__ = ["AligndecSampler"]

_Row = tuple[DrawRequest, int, list[int]]
_NOBODY: list[int] = []


class AligndecSampler(compat.LogitsProcessor):  # type: ignore[misc]
    """Draws the tokens of requests that carry ours with `sample`, all rows in one launch.

    It leaves them as the only tokens with mass, so that the engine's own draw changes nothing, and
    keeps their books on tensor-parallel rank 0. Rows of other requests are untouched.

    A token's random number is a function of (seed, sequence, position) alone; the position is the
    length of the request's output, which vLLM keeps through preemption, chunked prefill and
    asynchronous scheduling. A token that is drawn again is therefore the same one.
    """

    live: AligndecSampler | None = None
    """The processor of this worker, for `AligndecWorker`."""

    def __init__(self, vllm_config: Any, device: torch.device, is_pin_memory: bool) -> None:
        self._rows: dict[int, _Row] = {}
        self._device = torch.device(device)
        self._batch: DrawBatch | None = None
        self._outputs: list[list[int]] = []
        self._numbers = torch.empty(0, dtype=torch.int64)
        self.books = BookLog()
        AligndecSampler.live = self

    @classmethod
    def validate_params(cls, sampling_params: Any) -> None:
        """Refuse a request when it enters; see `check_params`."""
        check_params(sampling_params)

    def is_argmax_invariant(self) -> bool:
        """Return False: what is drawn need not be the most probable."""
        return False

    def update_state(self, batch_update: Any) -> None:
        """Follow the batch: requests that leave, enter and move."""
        if batch_update is None:
            return
        self._batch = None
        for row in batch_update.removed:
            self._rows.pop(row, None)
        for row, params, _, output in batch_update.added:
            self._rows.pop(row, None)
            request = request_in(params)
            if request is not None:
                number = self.books.number(request, begun=len(output) > 0)
                self._rows[row] = (request, number, output)
        for a, b, direction in batch_update.moved:
            at_a, at_b = self._rows.pop(a, None), self._rows.pop(b, None)
            if at_a is not None:
                self._rows[b] = at_a
            if at_b is not None and compat.is_swap(direction):
                self._rows[a] = at_b

    def apply(self, logits: Tensor) -> Tensor:
        """Draw; logits [B, V] are changed in place."""
        if not self._rows:
            return logits
        batch = self._batch
        if batch is None or batch.size != len(logits):
            batch = self._batch = self._prepared(len(logits))
        if not batch:
            return logits
        position = torch.tensor(list(map(len, self._outputs)), device=self._device)
        drawn = batch.draw(logits, position)
        batch.write_one_hot(logits, drawn.step.token)
        if compat.keeps_books():
            self.books.add(self._numbers, position, drawn)
        return logits

    def take(self, run: str) -> dict[int, dict[str, Any]]:
        """Return the books of a run and forget them."""
        return self.books.take(run, {number for _, number, _ in self._rows.values()})

    def _prepared(self, size: int) -> DrawBatch:
        rows = [self._rows.get(i) for i in range(size)]
        self._outputs = [_NOBODY if row is None else row[2] for row in rows]
        numbers = [-1 if row is None else row[1] for row in rows]
        self._numbers = torch.tensor(numbers, dtype=torch.int64, device=self._device)
        return DrawBatch([None if row is None else row[0] for row in rows], self._device)
