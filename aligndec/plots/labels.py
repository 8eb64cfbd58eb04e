"""Labels beside points, none over another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["label_points", "renderer_of"]

# Where a label may stand, in points from its point: to the sides first, then further away.
_SIDES = ((1, -1), (1, 1), (-1, 1), (-1, -1), (0, 1), (0, -1), (1, 0), (-1, 0))
_DISTANCES = (4, 9, 15, 24, 36)
_SPARE = 1.5
"""Pixels that stay free around a label."""


def renderer_of(axes: Axes) -> Any:
    """Return what measures texts, after the figure was laid out."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    part: Any = axes.figure  # or a part of one: matplotlib 3.9 has no get_figure(root=True)
    canvas = part.canvas
    figure = canvas.figure
    if not hasattr(canvas, "get_renderer"):
        canvas = FigureCanvasAgg(figure)
    figure.draw_without_rendering()
    return canvas.get_renderer()


def label_points(
    axes: Axes, points: Sequence[tuple[float, float, str]], *, fontsize: float = 8
) -> None:
    """Write a text beside each point (x, y), where neither a text nor a point is covered.

    The axes must have their limits, scales and size. Where everything near a point is taken, the
    place with the least overlap is; a thin line leads from a point to a label that is far away.
    """
    renderer = renderer_of(axes)
    taken = [text.get_window_extent(renderer) for text in axes.texts]
    dots = np.array([axes.transData.transform((x, y)) for x, y, _ in points])
    for x, y, text in points:
        best: tuple[float, Any] | None = None
        for distance in _DISTANCES:
            for side in _SIDES:
                label = _annotate(axes, (x, y), text, side, distance, fontsize)
                box = label.get_window_extent(renderer).padded(_SPARE)
                bad = _covered(box, taken, dots) + _outside(box, axes)
                label.remove()
                if best is None or bad < best[0]:
                    best = bad, (side, distance)
                if bad == 0:
                    break
            if best is not None and best[0] == 0:
                break
        assert best is not None
        side, distance = best[1]
        label = _annotate(axes, (x, y), text, side, distance, fontsize)
        taken.append(label.get_window_extent(renderer))


def _annotate(
    axes: Axes,
    point: tuple[float, float],
    text: str,
    side: tuple[int, int],
    distance: float,
    fontsize: float,
) -> Any:
    across = {1: "left", 0: "center", -1: "right"}[side[0]]
    up = {1: "bottom", 0: "center", -1: "top"}[side[1]]
    far = distance > _DISTANCES[2]
    arrow = {"arrowstyle": "-", "color": "0.5", "linewidth": 0.5} if far else None
    return axes.annotate(
        *(text, point),
        xytext=(side[0] * distance, side[1] * distance),
        textcoords="offset points",
        ha=across,
        va=up,
        fontsize=fontsize,
        arrowprops=arrow,
    )


def _covered(box: Any, taken: list[Any], dots: Any) -> float:
    """Area over other labels, and a little for each point."""
    area = 0.0
    for other in taken:
        width = min(box.x1, other.x1) - max(box.x0, other.x0)
        height = min(box.y1, other.y1) - max(box.y0, other.y0)
        area += max(width, 0.0) * max(height, 0.0)
    inside = (
        (dots[:, 0] > box.x0)
        & (dots[:, 0] < box.x1)
        & (dots[:, 1] > box.y0)
        & (dots[:, 1] < box.y1)
    )
    return area + 10.0 * float(inside.sum())


def _outside(box: Any, axes: Axes) -> float:
    """Pixels by which a label leaves the axes."""
    frame = axes.get_window_extent()
    across = max(frame.x0 - box.x0, 0.0) + max(box.x1 - frame.x1, 0.0)
    up = max(frame.y0 - box.y0, 0.0) + max(box.y1 - frame.y1, 0.0)
    return 10.0 * float(across + up)
