"""Whether the rows of a transformers model share their prefixes, and what keeps them from it."""

from __future__ import annotations

from typing import Any

import torch

from aligndec.models.hf.compat import repeats_groups
from aligndec.models.hf.shared_prefix import SHARED_BY, SHARED_FROM

__all__ = ["why_not_shared"]


def why_not_shared(lm: Any) -> dict[str, str | None]:
    """Decode one token after a short prefix that several rows continue, and look at the cache.

    Sharing changes no number, so where it goes off nothing but the time would tell.

    Parameters
    ----------
    lm : HFCausalLM

    Returns
    -------
    dict
        "even" (prompts of one length) and "padded" (a shorter one among them): None where prefixes
        are shared, else what keeps them apart.
    """
    width = SHARED_FROM + 1
    ids = torch.arange(2 * width).view(2, width) % lm.vocab_size
    mask = torch.ones_like(ids, dtype=torch.bool)
    padded = mask.clone()
    padded[1, 0] = False
    return {name: _why_not(lm, ids, m) for name, m in (("even", mask), ("padded", padded))}


@torch.no_grad()
def _why_not(lm: Any, ids: torch.Tensor, mask: torch.Tensor) -> str | None:
    state = lm.select(lm.prefill(ids, mask)[1], torch.arange(2).repeat_interleave(SHARED_BY))
    layers = [layer for layer in state.cache.layers if getattr(layer, "branches", None) is not None]
    if not layers:
        kinds = sorted({type(layer).__name__ for layer in state.cache.layers})
        return f"its cache has no layers of plain keys and values ({', '.join(kinds)})"
    lm.step(torch.zeros(len(ids) * SHARED_BY, dtype=torch.int64), state)
    readers = {layer.reader for layer in layers if layer.branches is None}
    if not readers:
        return None
    reason = f"its keys are read by {', '.join(sorted(readers))}, not by torch's fused attention"
    if not mask.all() and repeats_groups():
        reason += " (before transformers 5.23 grouped heads are repeated beside a mask)"
    return reason
