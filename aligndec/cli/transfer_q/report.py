"""Table, records and picture of `aligndec transfer-q`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

from rich.table import Table

from aligndec.cli.console import console
from aligndec.transfer_q import TransferQGeneration

__all__ = ["Result", "diversity", "show", "write"]


class Result(NamedTuple):
    """What one method did: its strings, texts, KL from the model per string, seconds."""

    name: str
    generation: TransferQGeneration
    texts: list[str]
    kl: float
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
            "kl": self.kl,
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
    results: Sequence[Result], prompts: list[str], settings: Any, judge: Any, out: Path
) -> list[Path]:
    """Write records, table and plot; return the files."""
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
    paths.append(out / "reward-kl.png")
    _plot(results, judge.name, paths[-1])
    return paths


def _plot(results: Sequence[Result], reward: str, path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for marker, result in zip(cycle("os^Dv<>"), results, strict=False):
        row = result.summary()
        error = row["reward_standard_error"]
        axes.errorbar(*(row["kl"], row["reward"], error), fmt=marker, capsize=2, label=result.name)
    axes.margins(0.08)
    figure.legend(loc="outside right center", frameon=False)  # names beside points would collide
    axes.set_xlabel("KL from the model, at most (nats per string)")
    axes.set_ylabel(reward)
    figure.savefig(path, dpi=150)
