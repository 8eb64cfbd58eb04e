"""The bar of a run on a terminal."""

from __future__ import annotations

from aligndec.cli.console import console, progress_bars
from aligndec.corpus import Done, Failed, Progress

__all__ = ["RichProgress"]


class RichProgress(Progress):
    """A rich bar with the tokens per second of each worker."""

    def open(self, total: int, done: int) -> None:
        """Begin."""
        super().open(total, done)
        self._bars = progress_bars()
        self._bar = self._bars.add_task(self.line(), total=total, completed=done)
        self._bars.start()

    def done(self, shard: Done, worker: int) -> None:
        """Advance."""
        super().done(shard, worker)
        self._bars.update(self._bar, description=self.line(), completed=self.count)

    def failed(self, shard: Failed) -> None:
        """Tell that a shard was set aside."""
        super().failed(shard)
        self._bars.update(self._bar, description=self.line())

    def close(self) -> None:
        """End."""
        self._bars.stop()
        console.print(self.line(), soft_wrap=True)
