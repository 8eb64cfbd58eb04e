"""From the books of requests to the tensors of a `Generation`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aligndec.step import SUMS, KeptSets

__all__ = ["Strings", "strings_of"]


@dataclass(frozen=True)
class Strings:
    """N strings as vLLM drew them: `tokens` int64 [N, T] (pad after the end), `length`, `status`.

    `books` float64 [5, N, T], per token in the order of `SUMS`, zeros after the end.
    """

    tokens: Tensor
    length: Tensor
    status: Tensor
    books: Tensor
    kept: KeptSets | None


def strings_of(
    drawn: Sequence[Sequence[int]],
    books: Sequence[dict[str, Any]],
    pad: int,
    *,
    forced: bool = False,
) -> Strings:
    """Join what vLLM returned with its books; a string ends before a row of bad logits.

    Parameters
    ----------
    drawn : N lists of int
        Tokens that vLLM returned.
    books : N dicts
        As `BookLog.take` has them; what was drawn beyond the end of a string is left out.
    pad : int
        Token after the end.
    forced : bool
        The tokens were taken, not drawn: those outside of their kept set have status 3.

    Raises
    ------
    RuntimeError
        A token has no book, or another one's: the engine changed the draw.
    """
    n, width = len(drawn), max(1, *map(len, drawn)) if drawn else 1
    tokens = torch.full((n, width), pad, dtype=torch.int64)
    length, status = torch.zeros(n, dtype=torch.int64), torch.zeros(n, dtype=torch.int64)
    values = torch.zeros(len(SUMS), n, width, dtype=torch.float64)
    sets: list[list[int] | None] = []
    for i, (ids, book) in enumerate(zip(drawn, books, strict=True)):
        count = len(ids)
        codes = book["status"][:count] if book else []
        bad = next((t for t, code in enumerate(codes) if code in (1, 2)), None)
        end = count if bad is None else bad
        if book.get("position", [])[:count] != list(range(count)) or (
            book["token"][:end] != list(ids[:end])
        ):
            raise RuntimeError(
                f"VLLMCausalLM: the books of string {i} must be those of its {count} tokens, got "
                f"{len(book.get('position', ()))} others (another processor changed the draw, or "
                "they were evicted)"
            )
        tokens[i, :end] = torch.tensor(ids[:end], dtype=torch.int64)
        length[i] = end
        outside = 3 if forced and 3 in codes else 0
        status[i] = outside if bad is None else codes[bad]
        for row, name in enumerate(SUMS):
            values[row, i, :end] = torch.tensor(book[name][:end], dtype=torch.float64)
        if "kept" in book:
            sets += [*book["kept"][:end], *[[] for _ in range(width - end)]]
    kept = None
    if len(sets) == n * width and any("kept" in book for book in books):
        plain = KeptSets.from_lists([s or [] for s in sets])
        complete = torch.tensor([s is not None for s in sets])
        kept = KeptSets(plain.ids, plain.offsets, complete)
    return Strings(tokens, length, status, values, kept)
