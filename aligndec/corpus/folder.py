"""The folder of a run: its settings, the shards that are done, and the lock."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aligndec.corpus.failures import Failures
from aligndec.corpus.manifest import Manifest
from aligndec.corpus.settings import Settings
from aligndec.corpus.shards import footer_of, index_of, shard_name
from aligndec.corpus.status import Status, status_of
from aligndec.generation import Generation
from aligndec.shared import PARTIAL, logger

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Busy", "RunFolder"]


class Busy(OSError):
    """Another driver works on the run."""


class RunFolder:
    """A run in its folder: `run.json`, `shards/<index>.parquet`, `failed/<index>.json`.

    A shard is a block of prompts with all their draws; what is in its file is a function of the
    settings, the prompts and its index. Done means that the file is there, complete, and carries
    the digest of the run.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder, self.manifest = folder, manifest
        self.shards, self.scores = folder / "shards", folder / "scores"
        self.failures = Failures(folder / "failed")

    @classmethod
    def create(
        cls, out: str | os.PathLike[str], settings: Settings | Mapping[str, Any], workers: int = 1
    ) -> Self:
        """Make the folder of a run, or open it where it was made with the same settings.

        Parameters
        ----------
        out : path
            The folder; its parents are made too.
        settings : Settings, or its fields
        workers : int
            Processes that will share the memory of a machine, for the default of `slots`.

        Raises
        ------
        ValueError
            Before any work, for settings that cannot be; and where the folder holds a run with
            other settings, models, prompts or versions, with what differs.
        """
        asked = settings if isinstance(settings, Settings) else Settings(**settings)
        folder = Path(out)
        found = Manifest.read(folder)
        manifest = Manifest.make(asked, found, workers)
        if found is not None:
            manifest.refuse_other(found, folder)
            return cls(folder, found)
        (folder / "shards").mkdir(parents=True, exist_ok=True)
        if not manifest.write(folder):  # another process was first
            return cls.create(out, settings, workers)
        return cls(folder, manifest)

    @classmethod
    def open(cls, out: str | os.PathLike[str]) -> Self:
        """Open the run in a folder."""
        manifest = Manifest.read(Path(out))
        if manifest is None:
            raise ValueError(f"corpus: out must be the folder of a run (run.json), got {out}")
        return cls(Path(out), manifest)

    @property
    def settings(self) -> Settings:
        """Settings of the run."""
        return self.manifest.settings

    @property
    def digest(self) -> str:
        """Digest of everything that the bytes depend on; each shard's footer carries it."""
        return self.manifest.digest

    def __len__(self) -> int:
        return self.manifest.n_shards

    def path(self, index: int) -> Path:
        """File of a shard, there or not."""
        return self.shards / shard_name(index)

    def is_done(self, index: int) -> bool:
        """Whether a shard's file is there and carries the digest."""
        return footer_of(self.path(index)) == self.digest

    def done(self) -> list[int]:
        """Shards that are done, ascending."""
        there = (index_of(p) for p in self.shards.glob("*.parquet") if p.stem.isdigit())
        return sorted(i for i in there if i < len(self) and self.is_done(i))

    def pending(self) -> list[int]:
        """Shards that are not done, ascending."""
        done = set(self.done())
        return [i for i in range(len(self)) if i not in done]

    def status(self) -> Status:
        """Return what is done, what failed and why, and how long the rest may take."""
        return status_of(self.shards, self.done(), len(self), self.failures.all())

    def generation(self) -> Generation:
        """Return the strings of all shards that are done, one after the other."""
        parts = list(self.generations())
        if not parts:
            raise ValueError(f"corpus: out must hold >= 1 shard that is done, got {self.folder}")
        return Generation.concat(parts)

    def generations(self) -> Iterator[Generation]:
        """Read the shards that are done, one at a time."""
        for index in self.done():
            yield Generation.load(self.path(index))

    def dataset(self) -> Any:
        """Return the shards that are done as a `pyarrow.dataset.Dataset`."""
        import pyarrow.dataset as ds

        return ds.dataset([str(self.path(i)) for i in self.done()], format="parquet")

    @contextmanager
    def lock(self, *, shared: bool = False) -> Iterator[None]:
        """Keep other drivers out of the folder; the system lets go of it when a holder dies.

        `shared`: beside others that ask for the same; what drivers that died left goes away.

        Raises
        ------
        Busy
            Another driver holds it.
        """
        with (self.folder / ".lock").open("a") as file:
            try:
                fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Busy(
                    f"corpus: out must be a folder that no other driver works on, got {self.folder}"
                ) from error
            except OSError as error:  # a file system that knows no locks
                logger.warning(
                    "%s cannot be locked (%s): start one driver only", self.folder, error
                )
            if not shared:
                for partial in self.folder.rglob(f".*{PARTIAL}"):
                    with suppress(OSError):
                        partial.unlink()
            yield

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}({str(self.folder)!r}, digest={self.digest!r}, shards={len(self)})"

    def to_json(self) -> str:
        """Return `run.json`."""
        return json.dumps(self.manifest.to_json(), indent=1)
