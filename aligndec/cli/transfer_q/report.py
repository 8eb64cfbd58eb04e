"""Table, records and picture of `aligndec transfer-q`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from rich.table import Table
from torch import Tensor

from aligndec import tilting
from aligndec.cli.console import console
from aligndec.plots import save, style
from aligndec.transfer_q import TransferQGeneration

__all__ = ["Result", "diversity", "show", "write"]

_GRID = 120


class Result(NamedTuple):
    """What one method did: its strings, texts, KL from the model of each at most, seconds."""

    name: str
    title: str
    generation: TransferQGeneration
    texts: list[str]
    kl: Tensor
    seconds: float

    def summary(self) -> dict[str, Any]:
        """Return the row of the table as numbers."""
        g = self.generation
        strings = len(g)
        spread = float(g.reward.std()) if strings > 1 else 0.0
        return {
            "method": self.name,
            "reward": float(g.reward.mean()),
            "reward_standard_error": spread / strings**0.5,
            "kl": float(self.kl.mean()),
            "diversity": sum(map(diversity, g.completions())) / strings,
            "seconds": self.seconds,
            "model_forwards": g.model_forwards,
            "model_tokens": g.model_tokens,
            "reward_items": g.reward_items,
        }


def diversity(tokens: Sequence[int]) -> float:
    """Product over n = 2, 3, 4 of the share of different n-grams; 1 for very short strings."""
    out = 1.0
    for n in (2, 3, 4):
        grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
        out *= len(set(grams)) / len(grams) if grams else 1.0
    return out


def show(results: Sequence[Result]) -> None:
    """Print the table and a text of each method."""
    table = Table(title="Mean reward against KL from the model", title_justify="left")
    table.add_column("method", no_wrap=True)
    for name in ("reward", "±", "KL ≤", "diversity", "seconds", "forwards", "tokens", "rewarded"):
        table.add_column(name, justify="right")
    for result in results:
        row = result.summary()
        table.add_row(
            result.name,
            f"{row['reward']:.3f}",
            f"{row['reward_standard_error']:.3f}",
            f"{row['kl']:.2f}",
            f"{row['diversity']:.2f}",
            f"{row['seconds']:.0f}",
            str(row["model_forwards"]),
            str(row["model_tokens"]),
            str(row["reward_items"]),
        )
    console.print(table)
    for result in results:
        text = " ".join(result.texts[0].split())
        console.print(f"{result.name}: {text[:160]}", markup=False, soft_wrap=True)


def write(
    results: Sequence[Result],
    prompts: list[str],
    settings: Any,
    judge: Any,
    pool: Tensor,
    out: Path,
    figures: str = "png",
) -> list[Path]:
    """Write records, table and plot; return the files.

    `pool` float64 [P, M]: rewards of the model's own strings, of which the optimum is drawn.
    """
    paths = []
    for result in results:
        stem = result.name.lower().replace(" ", "-")
        paths.append(out / f"{stem}.parquet")
        result.generation.save(paths[-1])
    summary = {
        "settings": dataclasses.asdict(settings),
        "reward": {"name": judge.name, **judge.settings},
        "prompts": prompts,
        "methods": [{**result.summary(), "texts": result.texts} for result in results],
    }
    paths.append(out / "summary.json")
    paths[-1].write_text(json.dumps(summary, indent=1, ensure_ascii=False), encoding="utf-8")
    paths.append(out / f"reward-kl.{figures}")
    _plot(results, judge.name, pool, paths[-1])
    return paths


def _plot(results: Sequence[Result], reward: str, pool: Tensor, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.4, 4.2), layout="constrained")
    axes = figure.subplots()
    spread = max(float(pool.std()), 1e-9)
    betas = torch.logspace(-2, 3.5, _GRID, dtype=torch.float64) / spread
    best = tilting.reward_kl_frontier(None, pool, beta=torch.cat([betas.new_zeros(1), betas]))
    label = f"optimum of {pool.shape[1]} strings of the model"
    axes.plot(best.kl.mean(0), best.reward.mean(0), color="0.4", label=label)
    for i, result in enumerate(results):
        (x, across), (y, up) = _mean(result.kl), _mean(result.generation.reward)
        look = {**style(i), "linestyle": "none", "label": result.title}
        axes.errorbar(x, y, xerr=across, yerr=up, capsize=2, **look)
    axes.margins(0.08)
    # Names beside points would collide.
    strings = len(results[0].generation)
    title = f"bars: ± 1 standard error, {strings} strings"
    figure.legend(loc="outside right center", frameon=False, title=title)
    axes.set_xlabel("KL from the model, at most (nats per string)")
    axes.set_ylabel(f"mean reward ({reward})")
    save(figure, path)


def _mean(values: Tensor) -> tuple[float, float]:
    """Mean and standard error of values [N]."""
    n = len(values)
    return float(values.mean()), float(values.std()) / n**0.5 if n > 1 else 0.0
