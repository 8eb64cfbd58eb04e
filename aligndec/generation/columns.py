"""A run as a table: a row per string; and as JSON lines."""

from __future__ import annotations

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from torch import Tensor

from aligndec.shared import SHOWN, replacing
from aligndec.step import SUMS

__all__ = ["books_of", "columns_of", "summary_of", "write_lines"]

# Fields of a dimension that name and describe strings; the others of N numbers are books.
_NAMES = frozenset({"prompt_ids", "prompt_index", "draw", "length", "finished", "status"})
_PER_TOKEN = tuple(f"token_{name}" for name in (*SUMS, "log_p_ref"))


def columns_of(g: Any) -> dict[str, list[Any]]:
    """Return the columns of a `Generation` as lists."""
    out: dict[str, list[Any]] = {
        "prompt_id": g.prompt_ids[g.prompt_index].tolist(),
        "prompt_index": g.prompt_index.tolist(),
        "draw": g.draw.tolist(),
    }
    if g.text is not None:
        out |= {"prompt_text": g.prompt_texts(), "text": g.texts()}
    out |= {"prompt": g.prompts(), "tokens": g.completions()}
    out |= {"length": g.length.tolist(), "finish_reason": g.finish_reason}
    out |= books_of(g)
    lengths = out["length"]
    for name in _PER_TOKEN:
        if (value := getattr(g, name)) is not None:
            rows = zip(value.tolist(), lengths, strict=True)
            out[name] = [row[:length] for row, length in rows]
    return out


def books_of(g: Any) -> dict[str, list[float]]:
    """Return the sums of each string and, of a result with a reward, what it has beside them."""
    named = {f.name: getattr(g, f.name) for f in dataclasses.fields(g) if f.name not in _NAMES}
    return {k: x.tolist() for k, x in named.items() if isinstance(x, Tensor) and x.dim() == 1}


def summary_of(g: Any) -> tuple[str, dict[str, list[Any]], int]:
    """Return a title, the columns that a person looks at first, of some rows, and how many are."""
    seed = "several seeds" if g.seed is None else f"seed {g.seed}"
    law = str(g.adaptors[0]) if len(g.adaptors) == 1 else f"{len(g.adaptors)} adaptors"
    title = f"{type(g).__name__}: {len(g)} strings of {len(g.prompt_ids)} prompts, {seed}, {law}"
    few = g[:SHOWN]
    words = {"text": few.texts()} if few.text is not None else {"tokens": few.completions()}
    out = {"prompt": few.prompt_index.tolist(), "draw": few.draw.tolist(), **words}
    out |= {"length": few.length.tolist(), "end": few.finish_reason, **books_of(few)}
    return title, out, len(g)


def write_lines(g: Any, path: Path) -> None:
    """Write a JSON object per string; the seed stands in each, numbers that JSON lacks are null."""
    columns = {**columns_of(g), "seed": [g.seed] * len(g)}
    with replacing(path) as partial, partial.open("w", encoding="utf-8", newline="\n") as file:
        for row in zip(*columns.values(), strict=True):
            values = {k: _json(value) for k, value in zip(columns, row, strict=True)}
            file.write(json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n")


def _json(value: Any) -> Any:
    if isinstance(value, list):
        return [_json(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
