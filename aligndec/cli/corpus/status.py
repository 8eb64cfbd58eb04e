"""`aligndec corpus status`: a run as its files show it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from rich.table import Table

from aligndec.cli.console import console
from aligndec.cli.corpus.run import said
from aligndec.corpus import Run

__all__ = ["show_status"]

_BAR = 30
_SHOWN = 20


def show_status(out: Path) -> bool:
    """Print the table; return whether nothing failed."""
    with said():
        run = Run.open(out)
        status = run.status()
    settings, manifest = run.settings, run.manifest
    table = Table(show_header=False, box=None, pad_edge=False)
    full = _BAR * status.done // max(1, status.total)
    left = status.seconds_left
    eta = "unknown" if left is None else str(timedelta(seconds=round(left)))
    scores = sorted(p.name for p in run.scores.glob("*") if p.is_dir())
    for name, value in {
        "run": f"{out} ({run.digest})",
        "model": settings.model,
        "prompts": f"{settings.prompts} ({manifest.n_prompts} × {settings.draws} draws)",
        "method": settings.method,
        "done": f"[{'#' * full}{'.' * (_BAR - full)}] {status.done} of {status.total} shards",
        "pending": str(status.pending),
        "set aside": str(len(status.failed)),
        "time left": eta,
        "scores": ", ".join(scores) or "none",
    }.items():
        table.add_row(name, value.replace("[", "\\["))
    console.print(table)
    for index, told in list(status.failed.items())[:_SHOWN]:
        text = f"shard {index} failed {told['attempts']} times: {told['error'][:400]}"
        console.print(text, soft_wrap=True, markup=False)
    return not status.failed
