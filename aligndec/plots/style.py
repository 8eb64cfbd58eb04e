"""Colours and markers that survive colour blindness and print, and figures as files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from aligndec.shared import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "FORMATS", "MARKERS", "save", "shades", "style"]

COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000")
"""The colours of Okabe and Ito 2008 but yellow, which white paper swallows; in this order."""

MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")

FORMATS = ("png", "pdf", "svg")


def style(i: int) -> dict[str, Any]:
    """Colour and marker of the i-th of several series; the pair repeats after 56 of them."""
    return {"color": COLOURS[i % len(COLOURS)], "marker": MARKERS[i % len(MARKERS)]}


def shades(n: int) -> list[tuple[float, float, float, float]]:
    """Return n colours in order, dark to light, neither as pale as paper."""
    import numpy as np
    from matplotlib import colormaps

    return [tuple(row) for row in colormaps["viridis"](np.linspace(0.0, 0.92, n)).tolist()]


def save(figure: Figure, path: Path) -> None:
    """Write a figure in the format of its suffix; the file appears when it is complete.

    Text stays text in PDF (TrueType, fonttype 42). No file holds a date.
    """
    import matplotlib as mpl

    kind = path.suffix.removeprefix(".")
    if kind not in FORMATS:
        raise ValueError(f"plots.save: path must end in one of {', '.join(FORMATS)}, got {path}")
    date = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}
    fixed: Any = {"pdf.fonttype": 42, "ps.fonttype": 42, "svg.hashsalt": "aligndec"}
    with mpl.rc_context(fixed), replacing(path) as partial:
        figure.savefig(partial, format=kind, dpi=150, metadata=date.get(kind))
