"""Reward against KL: the optimum, best-of-n and measured methods."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from aligndec.best_of_n import kl, kl_bound, pmf
from aligndec.plots.axes import new_axes
from aligndec.plots.labels import label_points
from aligndec.plots.style import COLOURS, style
from aligndec.shared import at_a_time, tensor_of
from aligndec.tilting import Frontier

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["bootstrap_mean", "reward_kl"]

# Fewer effective samples than these say little about the law they were drawn from.
_FEW = 20
_RESAMPLES = 2000


def bootstrap_mean(values: Tensor, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Percentile interval of the mean of values [P], resampled with replacement."""
    n = len(values)
    generator = torch.Generator().manual_seed(seed)
    pool, parts = values.double().cpu(), []
    for some in at_a_time(_RESAMPLES, n):
        parts.append(pool[torch.randint(n, (some, n), generator=generator)].mean(1))
    means = torch.cat(parts)
    tail = (1 - level) / 2
    low, high = torch.quantile(means, torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return low, high


def reward_kl(
    frontier: Frontier,
    points: Mapping[str, tuple[Tensor, Tensor]] | None = None,
    best_of_n: Tensor | None = None,
    *,
    n: Tensor | None = None,
    axes: Axes | None = None,
) -> Axes:
    """Draw the reward–KL frontier, best-of-n and measured methods, averaged over prompts.

    Parameters
    ----------
    frontier : Frontier
        Fields [..., G]; leading dimensions are prompts and are averaged. On one grid of beta it is
        the optimum of the mean KL.
    points : mapping of str to (kl, reward), optional
        Measured methods: each Tensor [P] or [P, draws], KL from the model in nats and reward, such
        as `Generation.kl` and the scores of its strings. Crosses are 95 % bootstrap intervals over
        the prompts, whose number the legend says. The dotted line goes up to the optimum of the
        same KL, and the legend has its length: the reward that is missed.
    best_of_n : Tensor, optional
        Floating-point [..., M], rewards of M draws of the model per prompt: best-of-n of that pool
        with its exact KL (filled) and with the bound ln n − (n − 1)/n (hollow). Also marks ln M,
        which no law on the pool passes, and dots the frontier where fewer than 20 of the M samples
        count (`ess`).
    n : Tensor, optional
        Grid of best-of-n; default powers of two up to M.
    axes : matplotlib Axes, optional
        Where to draw; default a new figure.

    Returns
    -------
    matplotlib Axes
    """
    axes = new_axes() if axes is None else axes
    beta, spent, reward, ess = (
        field.double().cpu().reshape(-1, field.shape[-1]).mean(0) for field in frontier
    )
    thin = torch.zeros_like(ess, dtype=torch.bool)
    if best_of_n is not None:
        pool = tensor_of("plots.reward_kl", "best_of_n", best_of_n).detach().double().cpu()
        thin = ess * pool.shape[-1] < _FEW
    last = int((~thin).sum())
    axes.plot(spent[:last], reward[:last], color=COLOURS[0], label="optimum")
    if last < len(spent):
        start = max(last - 1, 0)
        label = f"optimum, ESS < {_FEW}"
        axes.plot(spent[start:], reward[start:], color=COLOURS[0], linestyle=":", label=label)
    if best_of_n is not None:
        grid = _grid(pool) if n is None else n.double().cpu()
        _draw_best_of_n(axes, pool, grid)
    sizes: set[int] = set()
    for i, (name, (kl_of, reward_of)) in enumerate((points or {}).items()):
        x, y = (_per_prompt(name, value) for value in (kl_of, reward_of))
        if x.shape != y.shape:
            raise ValueError(
                f"plots.reward_kl: points[{name!r}] must be two tensors of one shape, got "
                f"{list(x.shape)} and {list(y.shape)}"
            )
        _draw_point(axes, name, x, y, style(2 + i), (beta, spent, reward))
        sizes.add(len(x))
    axes.set_xlabel("KL from the model (nats per string)")
    axes.set_ylabel("mean reward (in its own units)")
    between = " to ".join(map(str, sorted({min(sizes), max(sizes)}))) if sizes else ""
    title = f"crosses: 95 % bootstrap, {between} prompts" if sizes and max(sizes) > 1 else None
    axes.legend(loc="lower right", fontsize="small", title=title, title_fontsize="small")
    if best_of_n is not None:
        _label_best_of_n(axes, pool, grid)
    return axes


def _per_prompt(name: str, value: Tensor) -> Tensor:
    value = tensor_of("plots.reward_kl", f"points[{name!r}]", value).detach().double().cpu()
    return value if value.dim() == 1 else value.reshape(value.shape[0], -1).mean(1)


def _grid(pool: Tensor) -> Tensor:
    """Powers of two up to the size of the pool."""
    return 2.0 ** torch.arange(pool.shape[-1].bit_length(), dtype=torch.float64)


def _of_best_of_n(pool: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Exact KL and reward of the best of n, [G], averaged over prompts."""
    rows = pool.reshape(-1, 1, pool.shape[-1])
    reward = (pmf(None, rows, grid).exp() * rows).sum(-1).mean(0)
    return kl(None, rows, grid).mean(0), reward


def _draw_best_of_n(axes: Axes, pool: Tensor, grid: Tensor) -> None:
    exact, reward = _of_best_of_n(pool, grid)
    bound, orange = kl_bound(grid), COLOURS[1]
    axes.plot(exact, reward, color=orange, marker="o", markersize=4, label="best-of-n, exact KL")
    axes.plot(bound, reward, color=orange, linestyle="--", linewidth=0.8)
    hollow = {"facecolors": "none", "edgecolors": orange}
    axes.scatter(bound, reward, s=16, label="best-of-n, bound", **hollow)  # type: ignore[arg-type]
    cap, size = math.log(pool.shape[-1]), pool.shape[-1]
    axes.axvline(cap, color="0.6", linewidth=0.8, linestyle="--")
    axes.annotate(
        *(f"ln {size}", (cap, 0.98), (-3, 0)),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="right",
        va="top",
        fontsize=7,
        color="0.4",
    )


def _label_best_of_n(axes: Axes, pool: Tensor, grid: Tensor) -> None:
    """Write n beside each point, once everything else has its place."""
    exact, reward = (field.tolist() for field in _of_best_of_n(pool, grid))
    names = [f"n = {n:g}" if i == 0 else f"{n:g}" for i, n in enumerate(grid.tolist())]
    label_points(axes, list(zip(exact, reward, names, strict=True)), fontsize=7)


def _draw_point(
    axes: Axes,
    name: str,
    x: Tensor,
    y: Tensor,
    look: Mapping[str, Any],
    curve: tuple[Tensor, Tensor, Tensor],
) -> None:
    at, height = float(x.mean()), float(y.mean())
    label = name
    beta, spent, reward = curve
    inside = beta.isfinite()
    if bool(inside.any()) and at <= float(spent[inside].max()):
        import numpy as np

        best = float(np.interp(at, spent[inside], reward[inside]))
        axes.plot([at, at], [height, best], color=look["color"], linewidth=0.8, linestyle=":")
        label = f"{name}: {best - height:.3f} below the optimum"
    errors = []
    for values, mean in ((x, at), (y, height)):
        low, high = bootstrap_mean(values) if len(values) > 1 else (mean, mean)
        errors.append([[max(mean - low, 0.0)], [max(high - mean, 0.0)]])
    axes.errorbar(
        *(at, height), xerr=errors[0], yerr=errors[1], **look, capsize=2, markersize=5,
        linestyle="none", label=label
    )  # fmt: skip
