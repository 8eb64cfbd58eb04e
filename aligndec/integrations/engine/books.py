"""The books of requests that are on their way, until somebody takes them."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aligndec.integrations.engine.batch import Drawn
from aligndec.integrations.engine.request import DrawRequest

__all__ = ["FIELDS", "BookLog", "TakenBooks"]

FIELDS = ("token", "log_p", "log_q", "log_z", "log_kept", "entropy", "kl", "n_kept", "status")

TakenBooks = dict[int, dict[str, Any]]
"""Per sequence: a list for each of `FIELDS`, `position`, and `kept` (a list of ids per token, None
where a set was too large) if kept sets were asked for."""


class Entry(NamedTuple):
    """What one step gave; `number` int64 [B] of each row's request, −1 for rows not ours."""

    number: Tensor
    position: Tensor
    drawn: Drawn


class BookLog:
    """A log of steps, by request.

    A step costs one append; rows are told apart when books are taken. A token that an engine draws
    again (after a preemption, or a prompt read in parts) replaces the one at the same position of
    the same request. What nobody takes goes, oldest first, beyond `limit` tokens.
    """

    def __init__(self, limit: int = 1 << 20) -> None:
        self.limit = limit
        self.evicted = 0
        self._log: deque[Entry] = deque()
        self._size = 0
        self._next = 0
        self._numbers: dict[tuple[str, int], int] = {}

    def __len__(self) -> int:
        return self._size

    def number(self, request: DrawRequest, begun: bool) -> int:
        """Return the number of a request that enters; `begun`: it comes back after a preemption.

        A request of the same run and sequence that starts anew replaces an old one.
        """
        key = (request.run, request.sequence)
        if not begun or key not in self._numbers:
            self._numbers[key] = self._next
            self._next += 1
        return self._numbers[key]

    def add(self, number: Tensor, position: Tensor, drawn: Drawn) -> None:
        """Keep a step; the tensors are kept, not copied."""
        self._log.append(Entry(number, position, drawn))
        self._size += len(number)
        while self._size > self.limit and len(self._log) > 1:
            gone = len(self._log.popleft().number)
            self._size -= gone
            self.evicted += gone

    def take(self, run: str, live: Collection[int] = ()) -> TakenBooks:
        """Return the books of a run and forget them.

        `live`: numbers of requests that go on; what they draw later can be taken later.
        """
        wanted = {n: key[1] for key, n in self._numbers.items() if key[0] == run}
        books, rest = _split(list(self._log), set(wanted))
        for key in [key for key, n in self._numbers.items() if n in wanted and n not in live]:
            del self._numbers[key]
        known = set(self._numbers.values())
        self._log = deque(e for e in rest if known.intersection(e.number.tolist()))
        self._size = sum(len(e.number) for e in self._log)
        return {wanted[n]: book for n, book in books.items()}


def _split(log: list[Entry], wanted: set[int]) -> tuple[dict[int, dict[str, Any]], list[Entry]]:
    """Return the books of the wanted numbers, and the entries without their rows."""
    last: dict[tuple[int, int], tuple[Any, ...]] = {}
    rest = []
    ids = torch.tensor(sorted(wanted), dtype=torch.int64)
    for entry in log:
        number = entry.number.cpu()
        mine = torch.isin(number, ids)
        if not bool(mine.any()):
            rest.append(entry)
            continue
        rows = mine.nonzero()[:, 0]
        columns = [field.cpu()[rows].tolist() for field in entry.drawn.step]
        sets = entry.drawn.sets
        if sets is not None:
            some = sets.to("cpu").select(rows)
            both = zip(some.lists(), some.complete.tolist(), strict=True)
            columns.append([ids_ if full else None for ids_, full in both])
        places = zip(number[rows].tolist(), entry.position.cpu()[rows].tolist(), strict=True)
        last |= dict(zip(places, zip(*columns, strict=True), strict=True))
        if not bool(mine.all()):
            left = torch.where(mine, -1, number).to(entry.number.device)
            rest.append(Entry(left, entry.position, entry.drawn))
    books: dict[int, dict[str, Any]] = {}
    names = (*FIELDS, "kept")
    for (number_, position), values in sorted(last.items()):
        book = books.setdefault(number_, {"position": []})
        book["position"].append(position)
        for name, value in zip(names, values, strict=False):
            book.setdefault(name, []).append(value)
    return books, rest
