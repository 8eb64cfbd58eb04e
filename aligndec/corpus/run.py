"""A run as its users see it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from aligndec.corpus.folder import RunFolder
from aligndec.corpus.local import work_here
from aligndec.corpus.scoring import tables
from aligndec.corpus.status import Status

__all__ = ["Run"]


class Run(RunFolder):
    """A run in its folder: `run.json`, `shards/<index>.parquet`, `failed/<index>.json`.

    A shard is a block of prompts with all their draws; what is in its file is a function of the
    settings, the prompts and its index. Done means that the file is there, complete, and carries
    the digest of the run. `Run.create` makes a run or goes on with one, `Run.open` opens one.
    """

    def work(self, shards: Iterable[int] | None = None) -> Status:
        """Do shards, by default those that are pending, in this process.

        A shard that fails three times is set aside (`failed/<index>.json`), the others go on.

        Returns
        -------
        Status
            Where the run stands then.
        """
        work_here(self, shards)
        return self.status()

    def tables(self) -> Iterator[Any]:
        """Yield the shards that are done as Arrow tables, with the columns of `corpus score`."""
        return tables(self)
