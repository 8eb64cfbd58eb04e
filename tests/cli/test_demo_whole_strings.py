"""`aligndec demo --method`: strings of the global law by every method, on the toy model."""

from pathlib import Path

import pytest

pytest.importorskip("typer")
pytest.importorskip("pyarrow")
pytest.importorskip("matplotlib")

from typer.testing import CliRunner

import aligndec as ad
from aligndec.cli.app import typer_app
from aligndec.cli.console import console
from aligndec.cli.demo.whole_strings import METHODS, draw_whole_strings, show_whole_strings
from aligndec.cli.toy_model import toy_model


@pytest.mark.parametrize("method", METHODS)
def test_strings_by_every_method(method: str, tmp_path: Path) -> None:
    model, _ = toy_model()
    results = [
        draw_whole_strings(
            *(model, [[1], [2, 3]], name), method=method, max_new_tokens=6, draws=4, seed=1
        )
        for name in ("top-p", "cool top-p")
    ]
    for result in results:
        assert result.samples is not None
        (path,) = result.save(method, tmp_path)
        assert path.name == f"{result.name.replace(' ', '-')}-{method}.parquet"
        assert len(ad.Generation.load(path)) == 8
    with console.capture() as shown:
        show_whole_strings(results, method)
    assert f"by {method}" in shown.get()
    assert "cool top-p" in shown.get()


def test_an_unknown_method_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(typer_app, ["demo", "--method", "gibbs", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "--method must be one of imh" in done.output
