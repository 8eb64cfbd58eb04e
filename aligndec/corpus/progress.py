"""How far a run is, for those who watch: the base class says it in plain lines of the log."""

from __future__ import annotations

import importlib.util
import sys
import time

from aligndec.corpus.worker import Done, Failed
from aligndec.shared import logger

__all__ = ["NotebookProgress", "Progress", "default_progress"]

_EVERY = 10.0  # seconds


class Progress:
    """Lines of the logger "aligndec", one in ten seconds at most."""

    def open(self, total: int, done: int) -> None:
        """Begin: `done` of `total` shards are there already."""
        self.total, self.count, self.aside, self.strings = total, done, 0, 0
        self.tokens: dict[int, int] = {}
        self.start = self._said = time.monotonic()

    def done(self, shard: Done, worker: int) -> None:
        """Tell that a worker has done a shard."""
        self.count += 1
        self.strings += shard.strings
        self.tokens[worker] = self.tokens.get(worker, 0) + shard.tokens
        if time.monotonic() - self._said > _EVERY:
            self._said = time.monotonic()
            logger.info("%s", self.line())

    def failed(self, shard: Failed) -> None:
        """Tell that a shard was set aside."""
        self.aside += 1

    def close(self) -> None:
        """End."""
        logger.info("%s", self.line())

    def rates(self) -> dict[int, float]:
        """Tokens per second of each worker."""
        seconds = max(1e-9, time.monotonic() - self.start)
        return {worker: tokens / seconds for worker, tokens in sorted(self.tokens.items())}

    def line(self) -> str:
        """Return where the run stands."""
        rates = " + ".join(f"{rate:.0f}" for rate in self.rates().values()) or "0"
        aside = f", {self.aside} set aside" if self.aside else ""
        seconds = time.monotonic() - self.start
        return (
            f"{self.count} of {self.total} shards{aside}, {self.strings} strings in "
            f"{seconds:.0f} s, {rates} tok/s"
        )


class NotebookProgress(Progress):
    """A tqdm bar."""

    def open(self, total: int, done: int) -> None:
        """Begin."""
        super().open(total, done)
        from tqdm.auto import tqdm  # type: ignore[import-untyped]

        self._bar = tqdm(total=total, initial=done, unit="shard")

    def done(self, shard: Done, worker: int) -> None:
        """Advance."""
        super().done(shard, worker)
        self._bar.set_postfix_str(self.line(), refresh=False)
        self._bar.update(1)

    def close(self) -> None:
        """End."""
        self._bar.close()


def default_progress() -> Progress:
    """Return a bar in a notebook, lines elsewhere."""
    if "ipykernel" in sys.modules:
        return NotebookProgress() if importlib.util.find_spec("tqdm") else Progress()
    return Progress()
