"""Prompts from files: every kind gives the same prompts, in blocks, without reading it all."""

import json
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

import pyarrow as pa
import pyarrow.parquet as pq

from aligndec.corpus import PromptFile

TEXTS = [f"prompt number {i}" for i in range(23)]
IDS = [3 * i for i in range(23)]


def write(folder: Path, kind: str) -> Path:
    rows = [{"id": i, "prompt": t} for i, t in zip(IDS, TEXTS, strict=True)]
    path = folder / f"prompts.{kind}"
    if kind == "jsonl":
        path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    elif kind == "parquet":
        pq.write_table(
            pa.table({"id": IDS, "prompt": TEXTS, "more": TEXTS}), path, row_group_size=5
        )
    elif kind == "folder":
        path.mkdir()
        for part, (a, b) in enumerate([(0, 9), (9, 9), (9, 23)]):
            pq.write_table(
                pa.table(
                    {
                        "prompt": pa.array(TEXTS[a:b], pa.string()),
                        "id": pa.array(IDS[a:b], pa.int64()),
                    }
                ),
                path / f"{part}.parquet",
            )
    else:  # as datasets writes it
        path.mkdir()
        table = pa.table({"id": IDS, "prompt": TEXTS})
        with (
            pa.OSFile(str(path / "data-0.arrow"), "wb") as sink,
            pa.ipc.new_stream(sink, table.schema) as out,
        ):
            out.write_table(table, max_chunksize=4)
        (path / "state.json").write_text(
            json.dumps({"_data_files": [{"filename": "data-0.arrow"}]})
        )
    return path


@pytest.mark.parametrize("kind", ["jsonl", "parquet", "folder", "datasets"])
def test_blocks_in_any_order(tmp_path: Path, kind: str) -> None:
    prompts = PromptFile(write(tmp_path, kind))
    assert prompts.count() == 23
    for first, count in ((0, 5), (5, 5), (20, 5), (12, 1), (0, 23), (23, 4)):
        block = prompts.block(first, count)
        assert [p.value for p in block] == TEXTS[first : first + count]
        assert [p.id for p in block] == IDS[first : first + count]


def test_text_is_a_prompt_per_line_named_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("\n one \n\ntwo\n", encoding="utf-8")
    prompts = PromptFile(path)
    assert prompts.count() == 2
    assert prompts.block(1, 9) == [(1, "two")]


def test_chats_and_ids(tmp_path: Path) -> None:
    chat = [{"role": "user", "content": "hello"}]
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps({"messages": chat}) + "\n" + json.dumps({"input_ids": [1, 2]}))
    assert [p.value for p in PromptFile(path).block(0, 2)] == [chat, [1, 2]]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            ['{"id": 1, "prompt": "a"}', '{"id": 0, "prompt": "b"}', '{"id": 1, "prompt": "c"}'],
            "1 twice",
        ),
        (['{"prompt": "a"}', "{broken"], "a JSON object in every line"),
        (['{"prompt": "a"}', '{"prompt": ""}'], r"prompts\[1\]: prompt must be a str, not empty"),
        (['{"text": "a"}'], "one of input_ids, messages, prompt, got text"),
        (['{"id": "x", "prompt": "a"}'], "id must be an int"),
        (['{"id": -1, "prompt": "a"}'], r"\[0, 2\^31\), got -1"),
        ([""], "must hold >= 1 prompt"),
    ],
)
def test_bad_files_are_refused_before_any_work(
    tmp_path: Path, rows: list[str], message: str
) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(rows))
    with pytest.raises(ValueError, match=message):
        PromptFile(path).count()


def test_ids_in_any_order_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text("\n".join(json.dumps({"id": i, "prompt": "a"}) for i in (5, 2, 9, 0)))
    assert PromptFile(path).count() == 4


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="a file or folder that is there"):
        PromptFile(tmp_path / "no.txt")
