"""The strings that are being drawn, one a slot, each at its own position; where they begin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aligndec import rng
from aligndec.generation import Prepared, sequence_id
from aligndec.reference import exact
from aligndec.step import SequenceState

__all__ = ["Draws", "Source", "Strings"]


class Draws(NamedTuple):
    """Draws to begin: their prompt (of the source) and their number, int64 [n]."""

    prompt: Tensor
    number: Tensor


@dataclass
class Strings:
    """B strings; those that are not alive stay in the batch until it shrinks."""

    prompt: Tensor  # int64 [B], of the source
    draw: Tensor  # int64 [B]
    alive: Tensor  # bool [B]
    tokens: Tensor  # int64 [B, T]
    log_u: Tensor  # float64 [B, T], decides step t
    sums: SequenceState
    logits: Tensor
    state: Any

    def stop(self, which: Tensor) -> None:
        """Take strings out of work; their sums stay as they are."""
        self.alive = self.alive & ~which
        self.sums.finished |= ~self.alive

    def select(self, lm: Any, index: Tensor) -> Strings:
        """Gather strings."""
        gathered = {name: getattr(self, name)[index] for name in _TENSORS}
        return Strings(**gathered, sums=self.sums.select(index), state=lm.select(self.state, index))

    def join(self, lm: Any, other: Strings) -> Strings:
        """Return these strings and then `other`."""
        pairs = {name: (getattr(self, name), getattr(other, name)) for name in _TENSORS}
        joined = {name: torch.cat(pair) for name, pair in pairs.items()}
        sums = self.sums.join(other.sums)
        return Strings(**joined, sums=sums, state=lm.join(self.state, other.state))


_TENSORS = ("prompt", "draw", "alive", "tokens", "log_u", "logits")


@dataclass(frozen=True)
class Source:
    """G prompts that were read, each behind which any number of strings can begin."""

    given: Prepared
    names: Tensor  # int64 [G]
    max_new_tokens: int
    seed: int
    logits: Tensor
    state: Any

    @classmethod
    def read(
        cls, given: Prepared, prompts: slice, ids: Tensor, mask: Tensor, width: int, seed: int
    ) -> Source:
        """Read some of the prompts, left padded [G, T], for strings of at most `width` tokens."""
        logits, state = given.lm.prefill(ids, mask)
        return cls(given, given.names[prompts].to(logits.device), width, seed, logits, state)

    def open(self, draws: Draws) -> Strings | None:
        """Begin strings; None when there are none."""
        prompt, draw = draws
        if len(prompt) == 0:
            return None
        names = sequence_id(self.names[prompt], draw)
        position = torch.arange(self.max_new_tokens, device=names.device)
        bits = rng.philox(self.seed, names[:, None], position, rng.REJECTION)[0]
        sums = SequenceState.start(
            *(len(prompt),),
            eos_token_id=self.given.eos,
            pad_token_id=self.given.pad,
            sequence_ids=names,
            device=names.device,
        )
        return Strings(
            prompt=prompt,
            draw=draw,
            alive=torch.ones_like(prompt, dtype=torch.bool),
            tokens=torch.full_like(bits, self.given.pad),
            log_u=exact.log(rng.uniform(bits)),
            sums=sums,
            logits=self.logits[prompt],
            state=self.given.lm.select(self.state, prompt),
        )
