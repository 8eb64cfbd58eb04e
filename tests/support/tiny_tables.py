"""Tiny first-order models whose strings can all be written down."""

import itertools
from typing import NamedTuple

import torch
from support.cases import rng
from torch import Tensor

import aligndec as ad

CAP = 4


class TinyLM(NamedTuple):
    """A first-order table: row `previous token`, and row V at the start."""

    table: Tensor  # float64 [V + 1, V]
    eos: int

    def strings(self) -> list[tuple[int, ...]]:
        """Every complete string: ended by EOS, or cut by the length cap."""
        body = [t for t in range(self.table.shape[1]) if t != self.eos]
        ended = [(*s, self.eos) for n in range(CAP) for s in itertools.product(body, repeat=n)]
        return ended + list(itertools.product(body, repeat=CAP))


def tiny(vocab: int, eos: int, seed: int) -> TinyLM:
    # Float32 values, so that the same model can be given to either precision.
    table = 1.5 * torch.randn(vocab + 1, vocab, generator=rng(seed))
    return TinyLM(table.double(), eos)


LMS = {"three": tiny(3, 2, 1), "four": tiny(4, 0, 2), "six": tiny(6, 3, 3)}


def score_strings(lm: TinyLM, adaptor: ad.Adaptor, dtype: torch.dtype) -> ad.SequenceState:
    """Teacher-force every string through a state; rows end at their EOS by themselves."""
    strings = lm.strings()
    state = ad.SequenceState.start(len(strings), eos_token_id=lm.eos)
    previous = torch.full((len(strings),), lm.table.shape[1])
    for t in range(CAP):
        token = torch.tensor([s[t] if t < len(s) else 0 for s in strings])
        score = ad.reference.score if dtype == torch.float64 else ad.score
        score(lm.table[previous].to(dtype), token, adaptor, state=state)
        previous = token
    assert state.length.tolist() == [len(s) for s in strings]
    assert state.finished.tolist() == [s[-1] == lm.eos for s in strings]
    return state
