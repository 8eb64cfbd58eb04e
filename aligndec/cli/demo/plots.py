"""The demo's pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aligndec.cli.demo.result import Result
from aligndec.plots import COLOURS, label_points, save, style

__all__ = ["plot_chains", "plot_log_p_against_kl"]


def plot_log_p_against_kl(results: Sequence[Result], path: Path) -> None:
    """Mean log p per token against KL from the model per token."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    points = []
    for i, result in enumerate(results):
        g = result.generation
        x, y = result.per_token(g.kl), result.per_token(g.log_p)
        axes.scatter(x, y, **style(i))
        points.append((x, y, result.name))
    axes.margins(0.25)
    axes.set_xlabel("KL from the model (nats per token)")
    axes.set_ylabel("mean log p (nats per token)")
    label_points(axes, points)
    save(figure, path)


def plot_chains(results: Sequence[Result], path: Path) -> None:
    """Per adaptor: every proposal by log p and log-weight, and those that the chains accepted."""
    from matplotlib.figure import Figure

    columns = min(4, len(results))
    rows = -(-len(results) // columns)
    figure = Figure(figsize=(3.1 * columns, 2.7 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flatten()
    for axes in panels[len(results) :]:
        axes.set_visible(False)
    for axes, result in zip(panels, results, strict=False):
        log_p = result.generation.log_p
        weight = result.log_weight.flatten()
        accepted = result.chain.accepted.flatten()
        axes.scatter(log_p[~accepted], weight[~accepted], s=18, facecolors="none", edgecolors="0.6")
        axes.scatter(log_p[accepted], weight[accepted], s=18, color=COLOURS[0])
        rate = float(result.chain.acceptance_rate.mean())
        axes.set_title(f"{result.name}: {rate:.0%} accepted", fontsize="medium")
    figure.suptitle("Strings as proposals for the globally normalised law (filled: accepted)")
    figure.supxlabel("log p of the string (nats)")
    figure.supylabel("log-weight: sum of log Z (nats)")
    save(figure, path)
