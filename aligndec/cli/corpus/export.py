"""`aligndec corpus export`: the shards of a run as one file."""

from __future__ import annotations

from pathlib import Path

from aligndec.cli.console import CliError, console
from aligndec.cli.corpus.run import said
from aligndec.corpus import Run
from aligndec.shared import replacing

__all__ = ["export_run"]


def export_run(out: Path, to: Path) -> None:
    """Write all shards that are done, a row group each."""
    if to.suffix != ".parquet":
        raise CliError(f"the file must end in .parquet, got {to}")
    with said():
        import pyarrow.parquet as pq

        run = Run.open(out)
        rows, writer = 0, None
        to.parent.mkdir(parents=True, exist_ok=True)
        with replacing(to) as partial:
            for table in run.tables():
                writer = writer or pq.ParquetWriter(partial, table.schema, compression="zstd")
                writer.write_table(table)
                rows += table.num_rows
            if writer is None:
                raise CliError(f"the run must have a shard that is done, got none in {out}")
            writer.close()
        status = run.status()
    missing = status.total - status.done
    console.print(
        f"wrote {to}: {rows} strings" + (f"; {missing} shards are not done" if missing else ""),
        soft_wrap=True,
    )
