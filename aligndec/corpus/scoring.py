"""Columns that are added to a run afterwards: files beside the shards, one folder for each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aligndec.corpus.folder import RunFolder
from aligndec.corpus.shards import footer_of, shard_name, write_columns
from aligndec.corpus.sources import load_source
from aligndec.generation import Generation
from aligndec.rewards import load_reward
from aligndec.shared import fingerprint

__all__ = ["columns_of", "score_run", "tables"]

_NAME = re.compile(r"[A-Za-z][\w.-]*")
_COLUMNS = "prompt_id", "draw"


def score_run(run: RunFolder, reward: str, name: str | None = None) -> tuple[str, int]:
    """Score the shards of a run that are done; those that are scored stay as they are.

    Parameters
    ----------
    run : Run
    reward : str
        A reward by name; see `aligndec.rewards.load_reward`.
    name : str, optional
        Of the column; default that of the reward: "vader", the function, the classifier's folder.

    Returns
    -------
    name : str
    made : int
        Shards that were scored now.

    Raises
    ------
    ValueError
        The run has a column of that name, of another reward.
    RewardError
        With the items; what is scored is kept.
    """
    column = name or re.split(r"[:/.]", reward.rstrip("/"))[-1]
    if not _NAME.fullmatch(column):
        raise ValueError(f"corpus: name must be letters, digits, _ - and ., got {column!r}")
    tokenizer = load_source(run.settings.model)[1]
    judge = load_reward(reward, tokenizer, argument="corpus: reward")
    digest = fingerprint({"run": run.digest, "reward": judge.settings, "name": judge.name})
    folder = run.scores / column
    folder.mkdir(parents=True, exist_ok=True)
    made = 0
    with run.lock(shared=True):
        for index in run.done():
            path = folder / shard_name(index)
            found = footer_of(path)
            if found == digest:
                continue
            if found is not None:
                raise ValueError(
                    f"corpus: name must be new or that of the same reward, got {column!r} of "
                    f"another one in {folder}; give --name"
                )
            shard = Generation.load(run.path(index))
            _refuse_column(run.path(index), column)
            values = judge.score(shard.prompts(), shard.completions())
            keys = {"prompt_id": shard.prompt_ids[shard.prompt_index], "draw": shard.draw}
            write_columns(path, {**keys, column: values}, digest)
            made += 1
    return column, made


def _refuse_column(path: Path, column: str) -> None:
    import pyarrow.parquet as pq

    if column in pq.read_schema(path).names:
        raise ValueError(f"corpus: name must not be a column of the shards, got {column!r}")


def columns_of(run: RunFolder) -> list[Path]:
    """Return the folders of the columns that were added."""
    return sorted(p for p in run.scores.glob("*") if p.is_dir())


def tables(run: RunFolder) -> Iterator[Any]:
    """Yield the shards that are done as Arrow tables, with the columns that were added.

    `prompt_index` counts the prompts of the run. A column that is not there for some shard is null
    in it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    added = columns_of(run)
    for index in run.done():
        table = pq.read_table(run.path(index)).replace_schema_metadata(None)
        first = index * run.settings.per_shard
        place = table.column_names.index("prompt_index")
        counted = pa.array(table["prompt_index"].to_numpy() + first)
        table = table.set_column(place, "prompt_index", counted)
        for folder in added:
            path = folder / shard_name(index)
            there = footer_of(path) is not None
            values = (
                pq.read_table(path)[folder.name] if there else pa.nulls(len(table), pa.float64())
            )
            table = table.append_column(folder.name, values)
        yield table
