"""Every example runs as it stands."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).parent.parent / "examples").glob("*.py"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(path, capsys):
    if "transformers" in path.read_text():
        pytest.importorskip("transformers")
    if "from trl" in path.read_text():
        pytest.importorskip("trl")
    if "xgrammar" in path.read_text():
        pytest.importorskip("xgrammar")
    runpy.run_path(str(path), run_name="__main__")
    assert capsys.readouterr().out
