"""Files of a run: a shard appears complete or not at all, and its footer says whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aligndec.generation import Generation, write_generation
from aligndec.shared import write_table

__all__ = ["footer_of", "index_of", "shard_name", "write_columns", "write_shard"]

_KEY = b"aligndec.corpus"


def shard_name(index: int) -> str:
    """Name of a shard's file; sorted by name they are sorted by index."""
    return f"{index:06d}.parquet"


def index_of(path: Path) -> int:
    """Inverse of `shard_name`."""
    return int(path.stem)


def footer_of(path: Path) -> str | None:
    """Digest of the run that a file belongs to; None: not there, cut short or something else."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(path).metadata
    except (OSError, pa.ArrowInvalid):
        return None
    value = (metadata or {}).get(_KEY)
    return None if value is None else value.decode()


def write_shard(
    path: Path, generation: Generation, columns: Mapping[str, Any], digest: str
) -> None:
    """Write the strings of a shard, as `Generation.save`, with further columns [N]."""
    more = {name: _plain(values) for name, values in columns.items()}
    write_generation(generation, Generation, path, more, {_KEY: digest.encode()})


def write_columns(path: Path, columns: Mapping[str, Any], digest: str) -> None:
    """Write columns [N] that belong to the shard of the same name."""
    import pyarrow as pa

    arrays = {name: pa.array(_plain(values)) for name, values in columns.items()}
    table = pa.table(arrays).replace_schema_metadata({_KEY: digest.encode()})
    write_table(table, path)


def _plain(values: Any) -> Any:
    return values.cpu().numpy() if hasattr(values, "cpu") else values
