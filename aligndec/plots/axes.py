"""The Axes that a figure is drawn on."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["new_axes"]


def new_axes() -> Axes:
    """Return the Axes of a new figure that belongs to no window; `axes.figure.savefig` writes it.

    Raises
    ------
    ImportError
        matplotlib is not installed; the message says how.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("aligndec.plots needs matplotlib: pip install 'aligndec[cli]'") from error
    return Figure(layout="constrained").subplots()
