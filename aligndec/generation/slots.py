"""How many rows are decoded together: as many as there is memory for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from aligndec.models import StepLM, free_memory, row_bytes
from aligndec.shared import logger

__all__ = ["MOST_SLOTS", "planned_slots"]

MOST_SLOTS = {"cpu": 64, "cuda": 512}
"""Beyond these a larger batch brings nothing: a CPU computes as long, a GPU is full."""
_SHARE = 0.5
"""Of the free memory: other things grow meanwhile."""


@torch.no_grad()
def planned_slots(
    models: Sequence[StepLM],
    ids: Tensor,
    mask: Tensor,
    max_new_tokens: int,
    rows: int,
    *,
    workers: int = 1,
) -> int:
    """Return how many rows of these prompts to decode together, a power of 2 (or all rows).

    Parameters
    ----------
    models : sequence of StepLM
        All that read every row; the first one's device counts.
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
    prompt = ids[longest][own][None], own[own][None]
    each = sum(row_bytes(lm, *prompt, max_new_tokens) for lm in models)
    device = torch.device(models[0].device)
    free = free_memory(device)
    fits = max(1, int(_SHARE * free / workers) // max(1, each))
    most = min(fits, MOST_SLOTS.get(device.type, MOST_SLOTS["cpu"]))
    slots = min(rows, 1 << (most.bit_length() - 1))
    logger.info("%d rows together: %.1f MB each, %.1f GB free", slots, each / 1e6, free / 1e9)
    return slots
