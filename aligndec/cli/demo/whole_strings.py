"""Strings of the demo's adaptors with the law normalised over whole strings, by a chosen method."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from aligndec.cli.console import CliError, console
from aligndec.cli.demo.adaptors import ADAPTORS
from aligndec.errors import NotEnoughSamples
from aligndec.global_law import METHODS, GlobalSampler, GlobalSamples

__all__ = ["METHODS", "WholeStrings", "draw_whole_strings", "show_whole_strings"]

# What a chain gets before its first sample, and what rejection may spend per string.
_BURN_IN, _PATIENCE = {"imh": 4, "pimh": 2, "suffix": 8}, 200


@dataclass(frozen=True)
class WholeStrings:
    """Samples of one adaptor; None where the method found none for some prompt."""

    name: str
    samples: GlobalSamples | None
    seconds: float

    def save(self, method: str, out: Path) -> list[Path]:
        """Write the samples beside the records of the local strings."""
        if self.samples is None:
            return []
        path = out / f"{self.name.replace(' ', '-')}-{method}.parquet"
        self.samples.samples().save(path)
        return [path]


def draw_whole_strings(
    model: Any,
    ids: list[list[int]],
    name: str,
    *,
    method: str,
    max_new_tokens: int,
    draws: int,
    seed: int,
) -> WholeStrings:
    """Draw `draws` strings per prompt; filters have 4 · draws particles."""
    options: dict[str, Any] = {"method": method}
    if method in ("smc", "pimh"):
        options["n_particles"] = 4 * draws
    if method == "rejection":
        options["max_proposals"] = _PATIENCE * draws
    sampler = GlobalSampler(model, ADAPTORS[name], max_new_tokens=max_new_tokens, **options)
    start = time.perf_counter()
    try:
        samples = sampler.sample(
            ids, n_samples=draws, burn_in=_BURN_IN.get(method, 0) * draws, seed=seed
        )
    except NotEnoughSamples:
        samples = None
    except ValueError as error:
        raise CliError(f"--method {method}: {error}") from error
    return WholeStrings(name, samples, time.perf_counter() - start)


def show_whole_strings(results: list[WholeStrings], method: str) -> None:
    """Print what the strings are worth and what they cost."""
    table = Table(
        title=f"Strings of the globally normalised law by {method}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
    )
    for heading in ("adaptor", "log p\nper string", "distinct", "log Z", "model tokens", "seconds"):
        left = heading == "adaptor"
        table.add_column(heading, justify="left" if left else "right", no_wrap=True)
    for result in results:
        if result.samples is None:
            table.add_row(result.name, "too few", "", "", "", f"{result.seconds:.1f}")
            continue
        judged = result.samples.diagnostics
        table.add_row(
            result.name,
            f"{float(result.samples.samples().log_p.mean()):.1f}",
            f"{float(judged.n_unique.double().mean()):.1f}",
            f"{float(judged.log_z.mean()):+.2f}",
            f"{result.samples.model_tokens}",
            f"{result.seconds:.1f}",
        )
    console.print(table)
