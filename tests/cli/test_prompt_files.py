"""Files of prompts as other programs write them."""

from pathlib import Path

import pytest

typer = pytest.importorskip("typer")

from aligndec.cli.console import CliError  # noqa: E402
from aligndec.cli.prompts import read_prompts  # noqa: E402


@pytest.mark.parametrize(
    ("content", "prompts"),
    [
        (b"\xef\xbb\xbfone\ntwo\n", ["one", "two"]),
        (b"one\r\ntwo\r\n\r\n", ["one", "two"]),
        ("a\u2028b\nc\u2029d\x85e\x0cf\n".encode(), ["a\u2028b", "c\u2029d\x85e\x0cf"]),
        (b"run[/v2] [bold]\n", ["run[/v2] [bold]"]),
    ],
)
def test_lines_end_at_line_feeds_only(tmp_path: Path, content: bytes, prompts: list[str]) -> None:
    path = tmp_path / "prompts.txt"
    path.write_bytes(content)
    assert read_prompts(path) == prompts


@pytest.mark.parametrize("name", ["utf-16", "utf-16-le", "latin-1"])
def test_other_encodings_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "prompts.txt"
    path.write_bytes("caf\u00e9\n".encode(name))
    with pytest.raises(CliError, match="UTF-8"):
        read_prompts(path)


def test_lines_of_json(tmp_path: Path) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(
        '{"prompt": "one"}\n{"messages": [{"role": "user", "content": "two"}]}\n\n'
        '{"prompt": [{"role": "user", "content": "three"}]}\n'
    )
    assert read_prompts(path) == ["one", "two", "three"]


@pytest.mark.parametrize(
    "line", ["{", "3", '{"text": "one"}', '{"prompt": null}', '{"prompt": ""}']
)
def test_other_lines_are_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"prompt": "one"}\n' + line)
    with pytest.raises(CliError, match=r"prompts\.jsonl:2"):
        read_prompts(path)
