"""`aligndec corpus run`: which launcher, and what is said at the end."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aligndec import corpus
from aligndec.cli.console import CliError, console
from aligndec.cli.corpus.progress import RichProgress
from aligndec.shared import logger

__all__ = ["run_corpus", "said"]


@contextmanager
def said() -> Iterator[None]:
    """Turn what the user can put right into what a command says."""
    try:
        yield
    except (ValueError, TypeError, ImportError, OSError, RuntimeError) as error:
        raise CliError(str(error)) from error


def run_corpus(
    settings: dict[str, Any], *, out: Path, workers: int | None, ray: str | None, resources: str
) -> bool:
    """Do what is missing of a run; return whether nothing was set aside."""
    if not logger.handlers and not logging.getLogger().handlers:
        logging.basicConfig(stream=sys.stderr, format="%(message)s")
        logger.setLevel(logging.INFO)
    with said():
        settings = {
            **settings,
            "adaptor": corpus.parsed_adaptor(settings["adaptor"]),
            "method_options": corpus.parsed("method_options", settings["method_options"]),
        }
        asked = corpus.Settings(**settings)
        run = corpus.Run.create(out, asked, workers or 1)
        console.print(
            f"{out}: {run.manifest.n_prompts} prompts × {run.settings.draws}, {len(run)} shards, "
            f"{run.manifest.slots} slots",
            soft_wrap=True,
        )
        progress = RichProgress() if console.is_terminal else corpus.Progress()
        rank = corpus.rank_here() if workers is None and ray is None else None
        if ray is not None:
            needs = corpus.parsed("resources", resources)
            status = corpus.run_ray(run, ray, actors=workers, resources=needs, progress=progress)
        elif rank is not None:
            status = corpus.run_rank(run, rank, progress=progress)
        else:
            status = corpus.run_local(run, workers, progress=progress)
    if status.failed:
        first, told = next(iter(status.failed.items()))
        console.print(
            f"{len(status.failed)} of {status.total} shards failed and were set aside, shard "
            f"{first} with: {told['error'][:300]} (aligndec corpus status {out} shows all; the "
            "same command tries them again)",
            soft_wrap=True,
            markup=False,
        )
    return not status.failed
