"""Scatter of log prior against reward, with the centre of every scheme."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from aligndec.plots.axes import new_axes
from aligndec.plots.style import style
from aligndec.tradeoff import series

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["tradeoff"]


def tradeoff(
    log_prior: Tensor,
    reward: Tensor,
    scheme: Tensor | None = None,
    *,
    styles: Sequence[Mapping[str, Any]] | None = None,
    slope: float | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draw strings or corpora by log prior and reward, and the centre of each scheme.

    Parameters
    ----------
    log_prior, reward : Tensor
        Floating-point [N], finite.
    scheme : Tensor, optional
        Integer [N]: label of the scheme of each row. None: one scheme.
    styles : sequence of mappings, optional
        One per scheme, labels ascending: keyword arguments of `Axes.scatter` such as color, marker
        and label, for its cloud and its centre. Default: colours and markers that are told apart
        by everyone. Centres are hollow, so that they hide nothing.
    slope : float, optional
        Draw a line of this slope through the mean of the centres: strings of equal log p₊ lie on
        lines of slope −β.
    axes : matplotlib Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    matplotlib Axes
    """
    x = series("tradeoff", "log_prior", log_prior, (-1,)).cpu()
    y = series("tradeoff", "reward", reward, (len(x),)).cpu()
    if len(x) == 0:
        raise ValueError("tradeoff: log_prior must be [N] with N >= 1, got N = 0")
    label = torch.zeros(len(x)).long() if scheme is None else torch.as_tensor(scheme).cpu()
    if label.shape != x.shape:
        raise ValueError(f"tradeoff: scheme must be [{len(x)}], got {list(label.shape)}")
    present = torch.unique(label).tolist()
    if styles is None:
        styles = [style(i) for i in range(len(present))]
    if len(styles) != len(present):
        raise ValueError(f"tradeoff: styles must be {len(present)} mappings, got {len(styles)}")
    axes = new_axes() if axes is None else axes
    centres = []
    for number, look in zip(present, styles, strict=True):
        rows = label == number
        cloud = {**look, "label": None}
        axes.scatter(x[rows], y[rows], **cloud, s=4, alpha=0.25, linewidths=0, rasterized=True)
        centres.append((float(x[rows].mean()), float(y[rows].mean())))
        _draw_centre(axes, centres[-1], dict(look))
    if slope is not None:
        across, up = torch.tensor(centres).mean(0).tolist()
        axes.axline((across, up), slope=slope, color="0.5", linestyle="--", linewidth=1)
    axes.set_xlabel("log prior (nats)")
    axes.set_ylabel("reward (in its own units)")
    return axes


def _draw_centre(axes: Axes, at: tuple[float, float], look: dict[str, Any]) -> None:
    from matplotlib.patheffects import withStroke

    color = look.pop("color", None)
    axes.scatter(
        *at,
        **look,
        s=60,
        facecolors="none",
        edgecolors="black" if color is None else color,
        linewidths=1.6,
        zorder=3,
        path_effects=[withStroke(linewidth=3.2, foreground="white")],
    )
