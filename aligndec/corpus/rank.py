"""Runs without a driver: ranks of torchrun or a SLURM array share the shards by their numbers."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import NamedTuple

from aligndec.corpus.folder import RunFolder
from aligndec.corpus.local import work_here
from aligndec.corpus.progress import Progress
from aligndec.corpus.status import Status
from aligndec.corpus.worker import Work, checking

__all__ = ["Rank", "rank_here", "run_rank"]

_LOOK_EVERY = 1.0  # seconds


class Rank(NamedTuple):
    """One of `size` processes; `together`: one that ends with an error takes the others along."""

    rank: int
    size: int
    together: bool


def rank_here(environment: Mapping[str, str] = os.environ) -> Rank | None:
    """Return which rank this process is: `RANK` of `WORLD_SIZE`, or the task of a SLURM array."""
    e = environment
    if "RANK" in e and "WORLD_SIZE" in e:
        return _checked(int(e["RANK"]), int(e["WORLD_SIZE"]), "TORCHELASTIC_RUN_ID" in e)
    if "SLURM_ARRAY_TASK_ID" in e:
        first = int(e.get("SLURM_ARRAY_TASK_MIN", 0))
        step = int(e.get("SLURM_ARRAY_TASK_STEP", 1))
        last = int(e.get("SLURM_ARRAY_TASK_MAX", e["SLURM_ARRAY_TASK_ID"]))
        number = (int(e["SLURM_ARRAY_TASK_ID"]) - first) // step
        return _checked(number, (last - first) // step + 1, False)
    return None


def _checked(rank: int, size: int, together: bool) -> Rank:
    if not 0 <= rank < size:
        raise ValueError(f"corpus: RANK must be in [0, WORLD_SIZE), got {rank} of {size}")
    return Rank(rank, size, together)


def run_rank(
    run: RunFolder, rank: Rank, *, progress: Progress | None = None, work: Work = checking
) -> Status:
    """Do the pending shards whose index is `rank` modulo `size`.

    Any number of ranks may be started later to go on. Ranks that a launcher ends together wait for
    the others where they set a shard aside.
    """
    own = range(rank.rank, len(run), rank.size)
    failed = work_here(run, own, progress=progress, work=work)
    status = run.status()
    while failed and rank.together and status.pending:
        time.sleep(_LOOK_EVERY)
        status = run.status()
    return status
