"""The entries of a logit bias that do not depend on what was said, or on its last tokens only."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import pad

from aligndec.shared import real, row_of_entry, whole
from aligndec.step.bias import LogitBias, given_bias

__all__ = ["Entries", "entries"]

_ANY = -2


@dataclass
class Entries:
    """W entries for every string: `ids` int64 [W], `values` float32 [W].

    An entry counts where a string ends in its `prefix` int64 [W, L] (right aligned, -2 matches
    anything); `tail` int64 [B, L] are the last tokens. Or `rows`, entries of each string.
    """

    ids: Tensor
    values: Tensor
    prefix: Tensor
    tail: Tensor
    rows: LogitBias | None = None

    def append(self, token: Tensor) -> None:
        """Add one token to each string."""
        if self.prefix.shape[1]:
            self.tail = torch.cat([self.tail[:, 1:], token[:, None]], 1)

    def select(self, index: Tensor) -> Entries:
        """Gather strings."""
        rows = None if self.rows is None else self.rows.select(index)
        return replace(self, tail=self.tail[index], rows=rows)

    def keys(self, vocab: int) -> tuple[Tensor, Tensor]:
        """Return row · V + token and values; a key may come up several times."""
        if self.rows is not None:
            row = row_of_entry(self.rows.offsets)
            return row * vocab + self.rows.ids[: len(row)], self.rows.values[: len(row)]
        meets = (self.tail[:, None] == self.prefix) | (self.prefix == _ANY)
        row, entry = meets.all(-1).nonzero(as_tuple=True)
        return row * vocab + self.ids[entry], self.values[entry]


def entries(given: Any, tokens: Tensor, vocab: int) -> Entries:
    """Check `logit_bias` of B strings with tokens [B, T], right aligned."""
    device, zero = tokens.device, tokens.new_zeros(0)
    if isinstance(given, LogitBias):
        rows = given_bias("penalties", given, len(tokens), vocab, device)
        return Entries(zero, zero.float(), zero[:, None], tokens[:, :0], rows)
    if not isinstance(given, Mapping):
        raise TypeError(f"penalties: logit_bias must be a dict or a LogitBias, got {given!r:.80}")
    what = "a dict from ints, or tuples of ints, to float"
    listed = [tuple(key) if isinstance(key, (tuple, list)) else (key,) for key in given]
    listed = [tuple(whole("penalties", "logit_bias", i, what) for i in key) for key in listed]
    wrong = [i for key in listed for i in key if not 0 <= i < vocab]
    if wrong:
        raise ValueError(
            f"penalties: logit_bias must be of ids in [0, V) = [0, {vocab}), got {wrong[0]}"
        )
    if not all(listed):
        raise ValueError("penalties: logit_bias must be of tuples of >= 1 ids, got ()")
    numbers = [real("penalties", "logit_bias", v) for v in given.values()]
    if any(not v < math.inf for v in numbers):
        raise ValueError(f"penalties: logit_bias must be finite or -inf, got {max(numbers)}")
    longest = max([1, *map(len, listed)]) - 1
    prefixes = [[_ANY] * (longest + 1 - len(key)) + list(key[:-1]) for key in listed]
    tail = pad(tokens, (longest, 0), value=-1)
    return Entries(
        torch.tensor([key[-1] for key in listed], dtype=torch.int64, device=device),
        torch.tensor(numbers, dtype=torch.float32, device=device),
        torch.tensor(prefixes, dtype=torch.int64, device=device).reshape(len(listed), longest),
        tail[:, tail.shape[1] - longest :],
    )
