"""Figures of the package's results; each function returns the matplotlib Axes that it drew on."""

from __future__ import annotations

from aligndec._plot_tradeoff import tradeoff

__all__ = ["tradeoff"]
