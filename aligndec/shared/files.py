"""Files that appear under their name only when they are complete."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow

__all__ = ["PARTIAL", "replacing", "write_table"]

PARTIAL = ".partial"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a name beside `path` to write to; afterwards the file takes the place of `path`.

    A process that is killed meanwhile leaves a file ending in `PARTIAL`, never half of `path`.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_table(table: pyarrow.Table, path: Path) -> None:
    """Write a Parquet file, which is there when it is complete. Needs pyarrow."""
    import pyarrow.parquet

    with replacing(path) as partial:
        pyarrow.parquet.write_table(table, partial, compression="zstd")
