"""Models whose rotary frequencies depend on how long a string is: rows of one scale go together.

transformers takes the frequencies from the largest position of a batch and leaves the cached keys
as they were turned before. Here the law of a string is that of its own forward without a cache:
rows are read in parts of one scale, and a string that reaches another scale is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

__all__ = ["ByLength"]

Scale = Callable[[Tensor], Tensor]


@dataclass
class _Part:
    """Rows int64 [b] of one scale, and the model's state of them."""

    rows: Tensor
    scale: int
    state: Any


@dataclass
class _Strings:
    """What was read so far, ids and mask [B, T] left padded, in parts that cover the rows."""

    ids: Tensor
    mask: Tensor
    parts: list[_Part]


class ByLength:
    """The members of `StepLM` over a model that is right for rows of one scale.

    Parameters
    ----------
    lm : StepLM
        With `extend`; its own bound methods are kept, so it may go on to hand out these.
    scale : callable
        Lengths int64 [B] to scales int64 [B].
    fresh : callable
        Called before each forward: the model forgets the scale of an earlier one.
    at_once : bool
        Whether `extend` is more than `step` again and again.
    """

    def __init__(self, lm: Any, scale: Scale, fresh: Callable[[], None], *, at_once: bool) -> None:
        self._prefill, self._step, self._select = lm.prefill, lm.step, lm.select
        self._extend, self._scale, self._fresh = lm.extend, scale, fresh
        self._at_once = at_once

    def prefill(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, _Strings]:
        """Read prompts, those of a scale together."""
        strings = _Strings(ids.clone(), mask.bool().clone(), [])
        rows = torch.arange(len(ids), device=ids.device)
        return _rows(len(ids), self._read(strings, rows))[:, 0], strings

    def step(self, tokens: Tensor, strings: _Strings) -> tuple[Tensor, _Strings]:
        """Append a token per row."""
        logits, strings = self.extend(tokens[:, None], strings)
        return logits[:, 0], strings

    def extend(self, tokens: Tensor, strings: _Strings) -> tuple[Tensor, _Strings]:
        """Append k known tokens per row; at once to parts that keep their scale."""
        count = tokens.shape[1]
        lengths = strings.mask.sum(1)
        if count > 1 and not self._at_once:
            return self._one_by_one(tokens, strings)
        after = [self._scale(lengths + 1 + i) for i in range(count)]
        changes = torch.stack([a != self._scale(lengths) for a in after]).any()
        if count > 1 and bool(changes):
            return self._one_by_one(tokens, strings)
        tokens = tokens.to(strings.ids.device)
        ids = torch.cat([strings.ids, tokens], 1)
        mask = torch.cat([strings.mask, torch.ones_like(tokens, dtype=torch.bool)], 1)
        out, found = _Strings(ids, mask, []), []
        for part in strings.parts:
            stays = (after[-1][part.rows] == part.scale).nonzero()[:, 0]
            rows, state = part.rows[stays], part.state
            if len(stays) < len(part.rows):
                moved = torch.ones_like(part.rows, dtype=torch.bool)
                moved[stays] = False
                found += self._read(out, part.rows[moved])
                if len(stays) == 0:
                    continue
                state = self._select(state, stays)
            self._fresh()
            if count > 1:
                logits, state = self._extend(tokens[rows], state)
            else:
                logits, state = self._step(tokens[rows, 0], state)
                logits = logits[:, None]
            out.parts.append(_Part(rows, part.scale, state))
            found.append((rows, logits))
        return _rows(len(ids), found), out

    def _one_by_one(self, tokens: Tensor, strings: _Strings) -> tuple[Tensor, _Strings]:
        columns = []
        for column in tokens.unbind(1):
            one, strings = self.step(column, strings)
            columns.append(one)
        return torch.stack(columns, 1), strings

    def select(self, strings: _Strings, index: Tensor) -> _Strings:
        """Gather rows."""
        index = index.to(strings.ids.device)
        parts = []
        for part in strings.parts:
            place = torch.full_like(strings.mask[:, 0], -1, dtype=torch.int64)
            place[part.rows] = torch.arange(len(part.rows), device=place.device)
            rows = (place[index] >= 0).nonzero()[:, 0]
            if len(rows):
                state = self._select(part.state, place[index[rows]])
                parts.append(_Part(rows, part.scale, state))
        return _Strings(strings.ids[index], strings.mask[index], parts)

    def _read(self, strings: _Strings, rows: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Read rows from their beginning into new parts; return rows and logits [b, 1, V]."""
        lengths = strings.mask[rows].sum(1)
        scales, found = self._scale(lengths), []
        for scale in sorted(set(scales.tolist())):
            own = rows[scales == scale]
            width = int(strings.mask[own].sum(1).max())
            self._fresh()
            logits, state = self._prefill(strings.ids[own, -width:], strings.mask[own, -width:])
            strings.parts.append(_Part(own, scale, state))
            found.append((own, logits[:, None]))
        return found


def _rows(n: int, found: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """Lay the logits [b, k, V] of parts into the order of the rows."""
    first = found[0][1]
    out = first.new_empty(n, *first.shape[1:])
    for rows, logits in found:
        out[rows.to(out.device)] = logits
    return out
