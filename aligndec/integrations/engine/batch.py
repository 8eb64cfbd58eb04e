"""One launch for all rows of an engine's batch that are ours; the others are left untouched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from aligndec.integrations.engine.request import DrawRequest
from aligndec.step import (
    Adaptor,
    KeptSets,
    SequenceState,
    Step,
    pack,
    sample,
    sample_with_sets,
    score,
)

__all__ = ["DrawBatch", "Drawn"]


class Drawn(NamedTuple):
    """What a step gave: fields of all B rows (status 4 where a row is not ours), and kept sets."""

    step: Step
    sets: KeptSets | None


class DrawBatch:
    """The rows of an engine's batch, packed once and used until the batch changes.

    Parameters
    ----------
    requests : sequence of B DrawRequest or None
        None: a row that is not ours.
    device : torch.device
        Where the logits are.
    """

    def __init__(self, requests: Sequence[DrawRequest | None], device: torch.device) -> None:
        size = len(requests)
        own = [i for i, request in enumerate(requests) if request is not None]
        ours = [request for request in requests if request is not None]
        self.size, self.whole, self.device = size, len(own) == size, device
        self.rows = torch.tensor(own, dtype=torch.int64, device=device)
        law = [Adaptor() if r is None else r.adaptor for r in requests]
        self._packed = pack(law, size, device=device)
        sequences = torch.tensor([0 if r is None else r.sequence for r in requests])
        # Seeds are 64 bits, as a signed number.
        seeds = [0 if r is None else (r.seed + 2**63) % 2**64 - 2**63 for r in requests]
        self._seeds = torch.tensor(seeds, dtype=torch.int64, device=device)
        self._state = SequenceState.start(
            size, sequence_ids=sequences.to(device, torch.int64), device=device
        )
        self._state.finished.fill_(True)
        self._state.finished[self.rows] = False
        self._forced = self._force_table(requests)
        limits = [r.keep_sets for r in ours if r.keep_sets is not None]
        self._max_ids = max(limits, default=None)

    def __bool__(self) -> bool:
        return len(self.rows) > 0

    def _force_table(self, requests: Sequence[DrawRequest | None]) -> Tensor | None:
        """Tokens to be taken, int64 [B, T + 1], −1 where a token is to be drawn."""
        force = [() if r is None or r.force is None else r.force for r in requests]
        width = max(map(len, force), default=0)
        if width == 0:
            return None
        rows = [[*tokens, *[-1] * (width + 1 - len(tokens))] for tokens in force]
        return torch.tensor(rows, dtype=torch.int64, device=self.device)

    def draw(self, logits: Tensor, positions: Tensor) -> Drawn:
        """Draw, or take, a token for every row that is ours.

        Parameters
        ----------
        logits : Tensor
            [B, V], never modified.
        positions : Tensor
            int64 [B], how many tokens the string of a row has already.
        """
        if self._forced is not None:
            return self._draw_or_take(logits, positions, self._forced)
        given = dict(seed=self._seeds, positions=positions, state=self._state, strict=False)
        if self._max_ids is None:
            return Drawn(sample(logits, self._packed, **given), None)  # type: ignore[arg-type]
        return Drawn(
            *sample_with_sets(logits, self._packed, max_ids=self._max_ids, **given)  # type: ignore[arg-type]
        )

    def _draw_or_take(self, logits: Tensor, positions: Tensor, forced: Tensor) -> Drawn:
        last = forced.shape[1] - 1
        token = forced.gather(1, positions.clamp(max=last)[:, None])[:, 0]
        taken = token >= 0
        took = score(logits, token, self._packed, strict=False)
        state = self._state.select(torch.arange(self.size, device=self.device))
        state.finished |= taken
        given = dict(seed=self._seeds, positions=positions, state=state, strict=False)
        sets = None
        if self._max_ids is None:
            drew = sample(logits, self._packed, **given)  # type: ignore[arg-type]
        else:
            drew, sets = sample_with_sets(
                logits,
                self._packed,
                max_ids=self._max_ids,
                **given,  # type: ignore[arg-type]
            )
        both = zip(took, drew, strict=True)
        return Drawn(Step(*(torch.where(taken, a, b) for a, b in both)), sets)

    def write_one_hot(self, logits: Tensor, token: Tensor) -> None:
        """Leave each of our rows of logits [B, V] with its token alone, in place.

        A row without a token (bad logits) gets token 0; its books say that it is none.
        """
        place = token.clamp(min=0)[:, None]
        if self.whole:
            logits.fill_(-torch.inf)
            logits.scatter_(1, place, 0.0)
        else:
            logits.index_fill_(0, self.rows, -torch.inf)
            logits[self.rows, place[self.rows, 0]] = 0.0
