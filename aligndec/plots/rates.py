"""Reward of best-of-n against n, and rate functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from aligndec.asymptotics import rate_function as cramer_rate
from aligndec.best_of_n import Curve
from aligndec.plots.axes import new_axes
from aligndec.plots.style import COLOURS
from aligndec.reference import tilted, uniform_like
from aligndec.shared import rewards_and_law

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["rate_function", "reward_curve"]

_POINTS = 201


def reward_curve(
    n: Tensor, curve: Curve, *, gold: Curve | None = None, axes: Axes | None = None
) -> Axes:
    """Draw the reward of best-of-n against n, with 95 % bands.

    Parameters
    ----------
    n : Tensor
        [G], the grid of `best_of_n.reward_curve`.
    curve : Curve
        Reward that chooses.
    gold : Curve, optional
        Reward that counts (`evaluate=`); its largest value is marked, beyond which more draws only
        serve the error of the chooser.
    axes : matplotlib Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    matplotlib Axes
    """
    axes = new_axes() if axes is None else axes
    grid = n.double().cpu()
    both = (("selected by", curve, COLOURS[1]), ("evaluated by", gold, COLOURS[2]))
    for name, item, color in both:
        if item is None:
            continue
        if item.mean.shape != grid.shape:
            raise ValueError(
                f"plots.reward_curve: n must be [G] = {list(item.mean.shape)}, got "
                f"{list(grid.shape)}"
            )
        mean, half = item.mean.cpu(), 1.96 * item.se.cpu()
        label = None if gold is None else name
        axes.plot(grid, mean, color=color, marker="o", markersize=3, label=label)
        if bool(half.isfinite().all()):
            axes.fill_between(grid, mean - half, mean + half, color=color, alpha=0.2, linewidth=0)
    if gold is not None:
        best = int(gold.mean.argmax())
        axes.axvline(float(grid[best]), color=COLOURS[2], linewidth=0.8, linestyle="--")
        axes.legend(fontsize="small", title="bands: 95 %", title_fontsize="small")
    axes.set_xscale("log", base=2)
    axes.set_xlabel("n (draws per prompt)")
    axes.set_ylabel("mean reward of best-of-n (in its own units)")
    return axes


def rate_function(
    log_p: Tensor | None, r: Tensor, *, beta: float = 0.0, axes: Axes | None = None
) -> Axes:
    """Draw the rate function J_β(t) of the mean reward per token, and its zero E_φ r.

    Parameters
    ----------
    log_p : Tensor or None
        Floating-point [V], ln p up to a constant; None: uniform.
    r : Tensor
        Floating-point [V], finite on the support.
    beta : float
        Finite, multiplies the reward in φ_β ∝ p exp(β r).
    axes : matplotlib Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    matplotlib Axes
    """
    name = "plots.rate_function"
    law, rewards = rewards_and_law(name, log_p, r)
    if rewards.dim() != 1 or (law is not None and law.dim() != 1):
        raise ValueError(f"{name}: log_p and r must be [V], got {list(rewards.shape)}")
    log_law = uniform_like(rewards) if law is None else law.detach().double()
    live = rewards.detach().double()[(log_law > -torch.inf).expand(rewards.shape)]
    t = torch.linspace(live.min().item(), live.max().item(), _POINTS, dtype=torch.float64)
    rate = cramer_rate(law, rewards, t.to(rewards.device), beta).cpu()
    slope = torch.tensor(beta, dtype=torch.float64, device=rewards.device)
    usual = tilted(log_law, rewards.detach().double(), slope).reward.item()
    axes = new_axes() if axes is None else axes
    axes.plot(t, rate, color=COLOURS[0])
    axes.plot([usual], [0.0], color=COLOURS[0], marker="o", linestyle="none")
    axes.annotate("E r", (usual, 0.0), (4, 4), textcoords="offset points", fontsize="small")
    axes.set_xlabel("mean reward per token, t (units of the reward)")
    axes.set_ylabel("rate J(t) (nats per token)")
    return axes
