"""Tables of a study, on the console and as files: results.json, schemes.csv, report.md, figures."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from aligndec.cli.console import console
from aligndec.cli.tradeoff.corpora import LAWS
from aligndec.cli.tradeoff.plots import draw
from aligndec.cli.tradeoff.results import ADJUSTMENTS, StudiedScheme
from aligndec.shared import replacing

__all__ = ["markdown", "show", "write"]

_COLUMNS = (
    ("log_prior", "log prior", "{:.1f}"),
    ("per_token", "per token", "{:.2f}"),
    ("reward", "reward", "{:.3f}"),
    ("length", "length", "{:.1f}"),
    ("log_weight_sd", "sd log w", "{:.2f}"),
    ("acceptance", "accepted", "{:.2f}"),
    ("ess", "ESS", "{:.1f}"),
)
_TYPICAL = "Corpora of the aligned law itself, conditioned on being typical"
_WORDS = {"none": "sums", "per_token": "per token", "length": "length held fixed"}


def write(
    found: list[StudiedScheme], results: dict[str, Any], out: Path, figures: str = "png"
) -> list[Path]:
    """Write everything that is computed from the parts; each file appears complete."""
    with replacing(out / "results.json") as partial:
        partial.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", "utf-8")
    with replacing(out / "schemes.csv") as partial, partial.open("w", newline="") as file:
        table = csv.DictWriter(file, list(results["schemes"][0]), lineterminator="\n")
        table.writeheader()
        table.writerows(results["schemes"])
    with replacing(out / "report.md") as partial:
        partial.write_text(markdown(results), "utf-8")
    names = ("results.json", "schemes.csv", "report.md")
    return [*(out / name for name in names), *draw(found, results, out, figures)]


def show(results: dict[str, Any]) -> None:
    """Print the schemes of each law and the correlations."""
    for law, meaning in LAWS.items():
        header, rows = _schemes(results, law)
        _print(f"{law}: {meaning}", header, rows)
    _print("Correlations of log prior and reward: Pearson / Spearman", *_correlations(results))
    if results["typical"] is not None:
        _print(_TYPICAL, *_typical(results["typical"]))


def markdown(results: dict[str, Any]) -> str:
    """Return the tables as Markdown."""
    s = results["settings"]
    first = results["schemes"][0]
    text = [
        f"{s['model']}, {len(s['prompts'])} prompts, {first['draws']} strings of at most "
        f"{s['max_new_tokens']} tokens per prompt and scheme, {s['n_corpora']} corpora of "
        f"{s['corpus_size']} strings per scheme and law. Reward: {s['reward']}; β = {s['beta']:g}; "
        f"seed {s['seed']}; aligndec {s['version']}.",
        "Correlations of log prior and reward, Pearson / Spearman [95 % interval of each]:",
        _lines(*_correlations(results)),
    ]
    for law, meaning in LAWS.items():
        text += [f"Law **{law}**: {meaning}.", _lines(*_schemes(results, law))]
    if results["typical"] is not None:
        text += [f"{_TYPICAL}:", _lines(*_typical(results["typical"]))]
    return "\n\n".join(text) + "\n"


def _schemes(results: dict[str, Any], law: str) -> tuple[list[str], list[list[str]]]:
    # Nothing is resampled under the local law.
    shown = _COLUMNS[:4] if law == "local" else _COLUMNS
    rows = []
    for row in results["schemes"]:
        if row["law"] == law:
            full = {**row, "per_token": row["log_prior"] / row["length"]}
            rows.append([row["scheme"], *(form.format(full[name]) for name, _, form in shown)])
    return ["scheme", *(title for _, title, _ in shown)], rows


def _correlations(results: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    rows = []
    for adjust in ADJUSTMENTS:
        of = results["strings"][adjust]
        cells = (of["string"], of["within"], of["pooled"], of["between"])
        rows.append([f"strings, {_WORDS[adjust]}", *(_pair(cell) for cell in cells)])
    for law in LAWS:
        for adjust in ADJUSTMENTS:
            of = results["laws"][law][adjust]
            cells = (of["corpus"], of["within"], of["pooled"], of["between"])
            rows.append([f"{law} corpora, {_WORDS[adjust]}", *(_pair(cell) for cell in cells)])
    return ["", "all", "within (median)", "pooled", "between centres"], rows


def _typical(found: dict[str, Any]) -> tuple[list[str], list[list[str]]]:
    rows = [[f"{s['share']:.0%}", f"{s['epsilon']:.3f}", _pair(s)] for s in found["sets"]]
    return ["corpora kept", "ε (nats)", "Pearson / Spearman"], rows


def _pair(cell: dict[str, Any]) -> str:
    numbers = [_number(cell["pearson"]), _number(cell["spearman"])]
    if "interval" in cell:
        ends = (" [" + ", ".join(map(_number, pair)) + "]" for pair in cell["interval"])
        numbers = [number + end for number, end in zip(numbers, ends, strict=True)]
    return " / ".join(numbers)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"


def _lines(header: list[str], rows: list[list[str]]) -> str:
    rule = "|---|" + "--:|" * (len(header) - 1)
    return "\n".join([_line(header), rule, *map(_line, rows)])


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _print(title: str, header: list[str], rows: list[list[str]]) -> None:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(header[0], no_wrap=True)
    for name in header[1:]:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*row)
    console.print(table)
