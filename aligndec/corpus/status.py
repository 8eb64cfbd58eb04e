"""Where a run stands, from its files alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aligndec.corpus.shards import shard_name

__all__ = ["Status", "status_of"]

_RECENT = 64


@dataclass(frozen=True)
class Status:
    """Shards of a run.

    Attributes
    ----------
    done, total : int
    failed : dict
        Of shards that were set aside: index to `{"shard", "attempts", "error"}`.
    seconds_left : float or None
        Of the shards that are neither done nor set aside, at the rate of the last ones; None: no
        rate is known.
    """

    done: int
    total: int
    failed: dict[int, dict[str, Any]]
    seconds_left: float | None

    @property
    def pending(self) -> int:
        """Shards that are neither done nor set aside."""
        return self.total - self.done - len(self.failed)

    @property
    def complete(self) -> bool:
        """Whether every shard is done."""
        return self.done == self.total


def status_of(
    folder: Path, done: list[int], total: int, failures: dict[int, dict[str, Any]]
) -> Status:
    """Return the status of a run with these shards done; times are those of the files."""
    failed = {i: told for i, told in failures.items() if i not in set(done)}
    times = sorted((folder / shard_name(i)).stat().st_mtime for i in done)[-_RECENT:]
    left = total - len(done) - len(failed)
    seconds = None
    if left == 0:
        seconds = 0.0
    elif len(times) > 1 and times[-1] > times[0]:
        seconds = left * (times[-1] - times[0]) / (len(times) - 1)
    return Status(len(done), total, failed, seconds)
