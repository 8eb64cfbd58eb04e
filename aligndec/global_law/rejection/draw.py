"""The next token of every string, from its local law."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from aligndec.global_law.rejection.strings import Strings
from aligndec.step import PackedAdaptors, sample

__all__ = ["Drawn", "Law", "draw"]


class Law(NamedTuple):
    """The local law of the strings of G prompts, and which of its masses a token has to pass."""

    params: Tensor  # float64 [1 | G, COLUMNS]
    stateful: bool
    factor: str  # the field of a step whose exponential is the chance of passing


class Drawn(NamedTuple):
    """Tokens of B strings.

    `token` int64 is what the model reads next; `position` int64 the column it stands in; `usable`
    bool, False where the logits left no law; `log_chance` float64, ln of the chance of passing.
    """

    token: Tensor
    position: Tensor
    usable: Tensor
    log_chance: Tensor


def draw(strings: Strings, law: Law, seed: int, pad: int) -> Drawn:
    """Draw a token for each string that is alive, write it behind the others and count it."""
    params = law.params if len(law.params) == 1 else law.params[strings.prompt]
    position = strings.sums.length.clamp(max=strings.tokens.shape[1] - 1)
    adaptor = PackedAdaptors(params, len(position), law.stateful)
    step = sample(strings.logits, adaptor, seed=seed, state=strings.sums, strict=False)
    token, usable = step.token.clamp(min=0), step.status == 0
    column = torch.where(strings.alive, token, pad)[:, None]
    live = (strings.alive & usable)[:, None]
    written = strings.tokens.scatter(1, position[:, None], column)
    strings.tokens = torch.where(live, written, strings.tokens)
    return Drawn(token, position, usable, getattr(step, law.factor))
