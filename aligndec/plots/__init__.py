"""Figures of the package's results; each function returns the matplotlib Axes that it drew on."""

from __future__ import annotations

from aligndec._plot_frontier import reward_kl
from aligndec._plot_rates import rate_function, reward_curve
from aligndec._plot_tradeoff import tradeoff

__all__ = ["rate_function", "reward_curve", "reward_kl", "tradeoff"]
