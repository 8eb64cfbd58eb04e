"""`aligndec corpus score`: a column of rewards, as new files beside the shards."""

from __future__ import annotations

from pathlib import Path

from aligndec.cli.console import console
from aligndec.cli.corpus.run import said
from aligndec.corpus import Run
from aligndec.corpus import score_run as score_shards

__all__ = ["score_run"]


def score_run(out: Path, reward: str, name: str | None) -> None:
    """Score the shards that are done and not scored yet."""
    with said():
        run = Run.open(out)
        column, made = score_shards(run, reward, name)
    console.print(
        f"column {column}: {made} shards scored, {len(run.done()) - made} were there",
        soft_wrap=True,
    )
