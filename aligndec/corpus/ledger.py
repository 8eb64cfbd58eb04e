"""Which shards are still to be done, tried again, or set aside: the book of every launcher."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from aligndec.corpus.folder import RunFolder
from aligndec.corpus.progress import Progress
from aligndec.corpus.worker import Done, Failed
from aligndec.shared import logger

__all__ = ["ATTEMPTS", "Full", "Ledger"]

ATTEMPTS = 3


class Full(OSError):
    """The disk of the run has no room; nothing that is done is lost."""


class Ledger:
    """Shards that are to be done, in ascending order."""

    def __init__(self, run: RunFolder, shards: Iterable[int] | None, progress: Progress) -> None:
        self.run, self.progress = run, progress
        pending = run.pending()
        chosen = set(pending if shards is None else shards)
        self._queue = deque(i for i in pending if i in chosen)
        self._tries: dict[int, int] = {}
        self.failed = 0
        for index in self._queue:
            run.failures.forget(index)
        progress.open(len(run), len(run) - len(self._queue))

    def __len__(self) -> int:
        return len(self._queue)

    def take(self) -> int | None:
        """Return the next shard."""
        return self._queue.popleft() if self._queue else None

    def settle(self, outcome: Done | Failed, worker: int = 0, *, last: bool = False) -> None:
        """Write down how a shard went; one that failed is tried again, three times in all.

        `last`: it was tried as often already.
        """
        index = outcome.shard
        if isinstance(outcome, Done):
            self.progress.done(outcome, worker)
            return
        if outcome.full:
            raise Full(
                f"corpus: out must have room for the shards, got {self.run.folder} "
                f"({outcome.error}); what is done is kept: make room and run it again"
            )
        self._tries[index] = self._tries.get(index, 0) + 1
        if self._tries[index] < ATTEMPTS and not last:
            self._queue.append(index)
            return
        logger.warning("shard %d is set aside: %s", index, outcome.error)
        self.run.failures.set_aside(index, outcome.error, ATTEMPTS)
        self.failed += 1
        self.progress.failed(outcome)
