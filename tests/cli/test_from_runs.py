"""Runs of `aligndec corpus` as input of `aligndec tradeoff --from` and `aligndec frontier`."""

import json
from pathlib import Path

import pytest

pytest.importorskip("typer")
pytest.importorskip("pyarrow")
pytest.importorskip("matplotlib")
pytest.importorskip("vaderSentiment")

import pyarrow.parquet as pq
from support.corpora import toy_settings
from typer.testing import CliRunner

from aligndec.cli import app
from aligndec.corpus import Run, score_run


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    for name, adaptor in {"model": "", "warm": "temperature=1.25", "cut": "top_p=0.7"}.items():
        settings = toy_settings(folder, draws=16, shard_strings=64, adaptor=adaptor, slots=32)
        run = Run.create(folder / name, settings)
        run.work()
        score_run(run, "vader")
    return folder


def call(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, " ".join(result.output.split())


def test_tradeoff_reads_runs(runs: Path, tmp_path: Path) -> None:
    names = ("model", "warm", "cut")
    source = [part for name in names for part in ("--from", runs / name)]
    sizes = ("--corpora", 40, "--corpus-size", 100, "--out", tmp_path)
    code, said = call("tradeoff", *source, *sizes)
    assert code == 0, said
    results = json.loads((tmp_path / "results.json").read_text())
    local = [row for row in results["schemes"] if row["law"] == "local"]
    assert len(results["schemes"]) == 9
    assert len(local) == 3
    table = Run.open(runs / "model").dataset().to_table(columns=["log_p"])
    mean = sum(table["log_p"].to_pylist()) / table.num_rows
    assert local[0]["log_prior"] == pytest.approx(mean, abs=0.5)  # over corpora of the same strings
    assert results["settings"]["runs"]["warm"] == Run.open(runs / "warm").digest


def test_frontier_reads_runs(runs: Path, tmp_path: Path) -> None:
    code, said = call("frontier", *(runs / n for n in ("model", "warm", "cut")), "--out", tmp_path)
    assert code == 0, said
    rows = {row["method"]: row for row in pq.read_table(tmp_path / "frontier.parquet").to_pylist()}
    assert set(rows) == {"warm", "cut"}
    kl = Run.open(runs / "cut").generation().kl
    assert rows["cut"]["kl"] == pytest.approx(float(kl.mean()))


def test_what_cannot_be_studied_is_refused(runs: Path, tmp_path: Path) -> None:
    run = Run.create(tmp_path / "new", toy_settings(tmp_path))
    code, said = call("tradeoff", "--from", tmp_path / "new", "--out", tmp_path / "out")
    assert (code, "got 0 of 5 shards" in said) == (2, True)
    run.work()
    code, said = call("tradeoff", "--from", tmp_path / "new", "--out", tmp_path / "out")
    assert (code, "aligndec corpus score adds one" in said) == (2, True)
    code, said = call("tradeoff", "--from", tmp_path, "--out", tmp_path / "out")
    assert (code, "run.json" in said) == (2, True)
