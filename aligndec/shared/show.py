"""Results as people see them: a few lines of text, a table in a notebook, a data frame."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["SHOWN", "as_frame", "as_html", "as_text", "place_columns"]

Columns = Mapping[str, Sequence[Any]]

SHOWN = 8
"""Rows of a table at most."""
_CELL, _LINE = 36, 120
"""Characters of a cell and of a line at most."""


def as_text(title: str, columns: Columns, total: int | None = None) -> str:
    """Return the title and the first of `total` rows (default: of those given), <= 20 lines."""
    names, rows, more = _first(columns, total)
    table = [names, *([_cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        " ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True))
        for row in table
    ]
    short = [line if len(line) <= _LINE else line[: _LINE - 1] + "…" for line in lines]
    return "\n".join([title, *(f"  {line}".rstrip() for line in short), *more])


def as_html(title: str, columns: Columns, total: int | None = None) -> str:
    """Return the same as HTML, for notebooks."""
    names, rows, more = _first(columns, total)
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape(_cell(value))}</td>" for value in row) + "</tr>"
        for row in rows
    )
    notes = "".join(f"<p>{html.escape(line.strip())}</p>" for line in more)
    return (
        f"<p>{html.escape(title)}</p><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>{notes}"
    )


def as_frame(function: str, columns: Columns) -> Any:
    """Return the columns as a `pandas.DataFrame`."""
    try:
        import pandas  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise ImportError(
            f"{function} needs pandas: pip install pandas (to_dict gives the same columns)"
        ) from error
    return pandas.DataFrame(dict(columns))


def place_columns(names: Sequence[str], like: Tensor) -> dict[str, list[int]]:
    """Return the indices of the entries of `like` in row-major order, a column per dimension."""
    index = torch.ones_like(like, dtype=torch.bool).nonzero()
    return {name: column.tolist() for name, column in zip(names, index.unbind(1), strict=True)}


def _first(
    columns: Columns, total: int | None
) -> tuple[list[str], list[tuple[Any, ...]], list[str]]:
    """Names, the first rows, and a line about those that are not shown."""
    length = len(next(iter(columns.values()), ())) if total is None else total
    rows = list(zip(*(column[:SHOWN] for column in columns.values()), strict=True))
    more = [f"  … {length - SHOWN} rows more"] if length > SHOWN else []
    return list(columns), rows, more


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    # One line per row, whatever a text holds.
    text = repr(value)[1:-1] if isinstance(value, str) else str(value)
    return text if len(text) <= _CELL else text[: _CELL - 1] + "…"
