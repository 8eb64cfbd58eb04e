"""Prompts of any number from a file, block by block: no file is ever read as a whole."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from aligndec.shared import file_digest

__all__ = ["Prompt", "PromptFile"]

COLUMNS = ("input_ids", "messages", "prompt")
"""What a row may be given as; the first that is there."""
IDS = ("id", "prompt_id")
_AT_ONCE = 1024  # rows

Record = dict[str, Any]
Rows = Iterator[tuple[int, Callable[[], Record]]]


class Prompt(NamedTuple):
    """A prompt with its name in the random-number scheme: text, chat or token ids."""

    id: int
    value: Any


class PromptFile:
    """Prompts in the order of a file.

    A text file (one prompt per line; lines without text do not count), JSONL, Parquet, or a folder:
    of Parquet or JSONL files in the order of their names, or what `datasets.save_to_disk` wrote.
    Rows have a column `prompt` (text), `messages` (chat) or `input_ids`; an integer column `id` (or
    `prompt_id`) in [0, 2^31) names them in the random-number scheme, else the row's number does.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.files = _files(self.path)
        self._at = 0
        self._open: Rows | None = None

    def digest(self) -> str:
        """Digest of the bytes of all files."""
        return file_digest(self.files)

    def count(self) -> int:
        """Read everything once, look at every row, and return how many prompts there are.

        Raises
        ------
        ValueError
            With the number of the row: it is no prompt, it is empty, or its id was there before.
        """
        last, seen = -1, array("q")
        n = 0
        for row, read in self._rows(0):
            prompt = self._prompt(row, read())
            # Ids that ascend need no memory; the others are looked at together.
            if prompt.id > last and not seen:
                last = prompt.id
            else:
                if not seen:
                    seen.extend(p.id for p in PromptFile(self.path).block(0, n))
                seen.append(prompt.id)
            n += 1
        if seen and len(set(seen)) != len(seen):
            ordered = sorted(seen)
            twice = next(a for a, b in pairwise(ordered) if a == b)
            raise ValueError(
                f"corpus: prompts must have an id each, got {twice} twice in {self.path}"
            )
        if n == 0:
            raise ValueError(f"corpus: prompts must hold >= 1 prompt, got none in {self.path}")
        return n

    def block(self, first: int, count: int) -> list[Prompt]:
        """Return the prompts first … first + count − 1; blocks in ascending order cost one pass."""
        if self._open is None or first < self._at:
            self._open, self._at = self._rows(first), first
        out = []
        for row, read in self._open:
            self._at = row + 1
            if row >= first:
                out.append(self._prompt(row, read()))
                if len(out) == count:
                    break
        return out

    def _prompt(self, row: int, record: Record) -> Prompt:
        where = f"corpus: prompts[{row}]"
        name = next((c for c in IDS if record.get(c) is not None), None)
        identity = row if name is None else record[name]
        if isinstance(identity, bool) or not isinstance(identity, int):
            raise ValueError(
                f"{where}: {name} must be an int in [0, 2^31), got {identity!r:.60}; rename the "
                "column, and the row's number takes its place"
            )
        if not 0 <= identity < 2**31:
            raise ValueError(f"{where}: {name} must be in [0, 2^31), got {identity}")
        column = next((c for c in COLUMNS if record.get(c) is not None), None)
        if column is None:
            raise ValueError(
                f"{where} must have one of {', '.join(COLUMNS)}, got {', '.join(record) or 'none'}"
            )
        value = record[column]
        right: Any = str if column == "prompt" else list
        if not isinstance(value, right) or not value:
            raise ValueError(
                f"{where}: {column} must be a {right.__name__}, not empty, got {value!r:.60}"
            )
        return Prompt(identity, value)

    def _rows(self, first: int) -> Rows:
        """Rows from about `first` on, numbered, each with its reader; blank ones do not count."""
        number = 0
        for path in self.files:
            reader = _READERS.get(path.suffix, _text)
            for skipped, read in reader(path, first - number):
                number += skipped
                if read is not None:
                    yield number, read
                    number += 1


Found = Iterator[tuple[int, Callable[[], Record] | None]]
"""Rows that were left out before this one, and what reads it."""


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            for line in file:
                if text := line.strip():
                    yield text
    except UnicodeDecodeError as error:
        raise ValueError(f"corpus: prompts must be UTF-8, got {path} ({error})") from error


def _text(path: Path, first: int) -> Found:
    for line in _lines(path):
        yield 0, lambda line=line: {"prompt": line}  # type: ignore[misc]


def _jsonl(path: Path, first: int) -> Found:
    for line in _lines(path):
        yield 0, lambda line=line: _object(path, line)  # type: ignore[misc]


def _object(path: Path, line: str) -> Record:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"corpus: prompts must have a JSON object in every line, got {line[:60]!r} in {path} "
            f"({error})"
        ) from error
    if not isinstance(record, dict):
        raise ValueError(
            f"corpus: prompts must have a JSON object in every line, got {line[:60]!r}"
        )
    return record


def _parquet(path: Path, first: int) -> Found:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            rows = file.metadata.row_group(group).num_rows
            if first >= rows:  # not even opened
                first -= rows
                yield rows, None
                continue
            names = [n for n in (*IDS, *COLUMNS) if n in file.schema_arrow.names]
            batches = file.iter_batches(_AT_ONCE, row_groups=[group], columns=names)
            yield from _batched(batches)
            first = 0


def _arrow(path: Path, first: int) -> Found:
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        yield from _batched(pa.ipc.open_stream(source))


def _batched(batches: Any) -> Found:
    for batch in batches:
        names = [n for n in (*IDS, *COLUMNS) if n in batch.schema.names]
        columns = {name: batch.column(name) for name in names}
        for i in range(batch.num_rows):
            yield 0, lambda i=i, c=columns: {k: v[i].as_py() for k, v in c.items()}  # type: ignore[misc]


_READERS: dict[str, Callable[[Path, int], Found]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _jsonl,
    ".parquet": _parquet,
    ".arrow": _arrow,
}


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ValueError(f"corpus: prompts must be a file or folder that is there, got {path}")
    if (path / "dataset_dict.json").is_file():
        splits = ", ".join(json.loads((path / "dataset_dict.json").read_text())["splits"])
        raise ValueError(f"corpus: prompts must be one split, {path}/ with {splits}, got all")
    if (path / "state.json").is_file():
        state = json.loads((path / "state.json").read_text())
        found = [path / str(one["filename"]) for one in state.get("_data_files", [])]
    else:
        found = sorted(p for p in path.iterdir() if p.suffix in _READERS)
    if not found or len({p.suffix for p in found}) > 1:
        kinds = ", ".join(_READERS)
        raise ValueError(
            f"corpus: prompts must be a folder of files of one kind ({kinds}), got {path}"
        )
    return found
