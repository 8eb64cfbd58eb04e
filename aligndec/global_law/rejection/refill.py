"""Who takes the slots of strings that stopped."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aligndec.global_law.rejection.records import Records
from aligndec.global_law.rejection.strings import Draws, Source, Strings

__all__ = ["next_draws", "refill"]

# New draws join once this share of the slots is free: joining costs about one step of the model.
JOIN_AT = 0.25
# Without `join` a batch only shrinks; gathering the rest at half its size is cheap in total.
SHRINK_AT = 0.5


def next_draws(records: Records, most: int, slots: int, *, running: int, joins: bool) -> Draws:
    """Choose the draws that begin now: as many as acceptance calls for and as there is room for.

    Parameters
    ----------
    records : Records
        What has been drawn and accepted so far.
    most : int
        Draws of a prompt.
    slots, running : int
        Strings at a time, and those that still run.
    joins : bool
        Whether the model lets strings join others that run.
    """
    none = records.started[:0]
    if running > 0 and not joins:
        return Draws(none, none)
    short = records.n_samples - records.accepted
    rate = (records.accepted + 1) / (records.decided + 1)
    wanted = (short / rate).ceil().long() - (records.started - records.decided)
    wanted = torch.where(short > 0, wanted, 0).clamp(min=0)
    wanted = torch.minimum(wanted, most - records.started)
    last = wanted.cumsum(0).clamp(max=slots - running)
    wanted = last.diff(prepend=last.new_zeros(1))
    prompt = torch.arange(len(wanted), device=wanted.device).repeat_interleave(wanted)
    if running > 0 and len(prompt) < JOIN_AT * slots:
        return Draws(none, none)
    first = (last - wanted)[prompt]
    number = records.started[prompt] + torch.arange(len(prompt), device=wanted.device) - first
    return Draws(prompt, number)


def refill(
    lm: Any, strings: Strings, running: Tensor, token: Tensor, source: Source, draws: Draws
) -> Strings | None:
    """Feed strings `running` int64 [r] their tokens; the draws begin in the slots of the others."""
    size = len(strings.alive)
    if len(running) == 0:
        return source.open(draws)
    joining = len(draws.prompt) > 0
    if len(running) < size and (joining or len(running) <= SHRINK_AT * size):
        strings, token = strings.select(lm, running), token[running]
    strings.logits, strings.state = lm.step(token, strings.state)
    fresh = source.open(draws)
    return strings if fresh is None else strings.join(lm, fresh)
