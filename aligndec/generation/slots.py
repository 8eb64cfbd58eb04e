"""How many rows are decoded together: as many as there is memory for."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aligndec.models import free_memory, row_bytes
from aligndec.shared import logger

__all__ = ["MOST_SLOTS", "planned_slots"]

MOST_SLOTS = {"cpu": 64, "cuda": 512}
"""Beyond these a larger batch brings nothing: a CPU computes as long, a GPU is full."""
_SHARE = 0.5
"""Of the free memory: other things grow meanwhile."""


@torch.no_grad()
def planned_slots(
    lm: Any, ids: Tensor, mask: Tensor, max_new_tokens: int, rows: int, *, workers: int = 1
) -> int:
    """Return how many rows of these prompts to decode together, a power of 2 (or all rows).

    Parameters
    ----------
    lm : StepLM
    ids, mask : int64 and bool [P, T]
        Prompts, left padded; the longest one is read once to measure what its state takes.
    max_new_tokens : int
        Length cap.
    rows : int
        Rows to be decoded in all.
    workers : int
        Processes that share the memory, each with this many rows.
    """
    longest = int(mask.sum(1).argmax())
    own = mask[longest]
    each = row_bytes(lm, ids[longest][own][None], own[own][None], max_new_tokens)
    free = free_memory(torch.device(lm.device))
    fits = max(1, int(_SHARE * free / workers) // max(1, each))
    most = min(fits, MOST_SLOTS.get(torch.device(lm.device).type, MOST_SLOTS["cpu"]))
    slots = min(rows, 1 << (most.bit_length() - 1))
    logger.info("%d rows together: %.1f MB each, %.1f GB free", slots, each / 1e6, free / 1e9)
    return slots
