"""The Axes that a figure is drawn on."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["new_axes"]


def new_axes() -> Axes:
    """Return the Axes of a new figure; `axes.figure.savefig` writes it.

    It belongs to no window. In a notebook it is pyplot's, so that it shows itself under its cell.

    Raises
    ------
    ImportError
        matplotlib is not installed; the message says how.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("aligndec.plots needs matplotlib: pip install 'aligndec[cli]'") from error
    # Where IPython runs a kernel, it was imported before; a terminal of IPython has no figures.
    ipython = sys.modules.get("IPython")
    if ipython is not None and hasattr(ipython.get_ipython(), "kernel"):
        from matplotlib import pyplot

        return pyplot.subplots(layout="constrained")[1]  # type: ignore[no-any-return,unused-ignore]
    return Figure(layout="constrained").subplots()
