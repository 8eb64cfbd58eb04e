"""The folder of a run: every file is named by what it was computed from.

Whatever determines the content of a part goes into its fingerprint and so into its name. A part
that is there is complete and is what would be computed again; one with other settings has another
name. So a run that was killed continues where it was, and a changed setting reuses nothing that it
should not.
"""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aligndec.cli.console import CliError
from aligndec.shared import PARTIAL, fingerprint, tensor_digest, write_table

__all__ = ["Records", "fingerprint", "tensor_digest"]


class Records:
    """Tables under a folder, one Parquet file per part."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other runs out of the folder; what a killed one left half-written goes away."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise CliError(
                    f"--out must be a folder that no other run is using, got {self.folder}"
                ) from error
            for partial in self.folder.rglob(f".*{PARTIAL}"):
                partial.unlink()
            yield

    def path(self, kind: str, name: str, settings: Mapping[str, Any]) -> Path:
        """Name of a part; its folder is made."""
        folder = self.folder / kind
        folder.mkdir(exist_ok=True)
        return folder / f"{name}-{fingerprint(settings)}.parquet"

    def columns(self, path: Path, make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """Read the columns of a part, or make and write them: a dict of numpy arrays."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not path.is_file():
            table = pa.table({name: pa.array(values) for name, values in make().items()})
            write_table(table, path)
        # Read even what was just written: a continued run must see the same.
        table = self.read(path, pq.read_table)
        return {name: table[name].to_numpy().copy() for name in table.column_names}

    @staticmethod
    def read(path: Path, reader: Callable[[Path], Any]) -> Any:
        """Read a part; a file that something else damaged is named."""
        try:
            return reader(path)
        except (OSError, ValueError, KeyError) as error:
            raise CliError(f"{path} cannot be read ({error}): remove it") from error
