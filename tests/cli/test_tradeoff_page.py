"""The page on the study quotes the committed results, and nothing else."""

import json
from pathlib import Path

import pytest

pytest.importorskip("rich")
pytest.importorskip("matplotlib")

from aligndec.cli.tradeoff.report import markdown

ROOT = Path(__file__).parents[2]
PAGE, RESULTS = ROOT / "docs" / "tradeoff.md", ROOT / "bench" / "results" / "tradeoff.json"

pytestmark = pytest.mark.skipif(not PAGE.is_file(), reason="needs the source tree")


def test_tables_and_figures() -> None:
    text = PAGE.read_text("utf-8")
    block = text.split("<!-- study:begin -->\n")[1].split("<!-- study:end -->")[0]
    assert block == markdown(json.loads(RESULTS.read_text("utf-8")))
    for name in ("string_level", "corpus_level", "acceptance"):
        figure = f"figures/tradeoff_{name}.png"
        assert f"]({figure})" in text
        assert (PAGE.parent / figure).is_file()
