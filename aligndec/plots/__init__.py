"""Figures of the package's results; each function returns the matplotlib Axes that it drew on."""

from __future__ import annotations

from aligndec.plots.frontier import bootstrap_mean, reward_kl
from aligndec.plots.rates import rate_function, reward_curve
from aligndec.plots.tradeoff import tradeoff

__all__ = ["bootstrap_mean", "rate_function", "reward_curve", "reward_kl", "tradeoff"]
