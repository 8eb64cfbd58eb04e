"""Figures of the package's results; each function returns the matplotlib Axes that it drew on."""

from __future__ import annotations

from aligndec.plots.frontier import bootstrap_mean, reward_kl
from aligndec.plots.labels import label_points
from aligndec.plots.rates import rate_function, reward_curve
from aligndec.plots.style import COLOURS, FORMATS, MARKERS, save, shades, style
from aligndec.plots.tradeoff import tradeoff

__all__ = [
    "COLOURS",
    "FORMATS",
    "MARKERS",
    "bootstrap_mean",
    "label_points",
    "rate_function",
    "reward_curve",
    "reward_kl",
    "save",
    "shades",
    "style",
    "tradeoff",
]
