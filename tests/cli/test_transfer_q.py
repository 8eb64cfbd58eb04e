"""`aligndec transfer-q` from end to end on the toy model."""

import json
import math
from pathlib import Path

import pytest

pytest.importorskip("typer")
pytest.importorskip("pyarrow")
pytest.importorskip("matplotlib")
pytest.importorskip("vaderSentiment")

from typer.testing import CliRunner

import aligndec as ad
from aligndec.cli import rewards
from aligndec.cli.app import typer_app
from aligndec.cli.transfer_q.methods import METHODS, QUICK
from aligndec.cli.transfer_q.report import diversity


def run(*args: object):
    return CliRunner().invoke(typer_app, ["transfer-q", "--model", "toy", *map(str, args)])


def test_a_quick_run(tmp_path: Path) -> None:
    out = run("--quick", "--draws", 8, "--out", tmp_path)
    assert out.exit_code == 0, out.output
    summary = json.loads((tmp_path / "summary.json").read_text())
    rows = {row["method"]: row for row in summary["methods"]}
    assert set(rows) == set(METHODS)
    assert (tmp_path / "reward-kl.png").stat().st_size > 10_000
    plain = rows["sampling"]
    assert abs(plain["kl"]) < 1e-9
    for name, row in rows.items():
        saved = ad.Generation.load(tmp_path / f"{name.lower().replace(' ', '-')}.parquet")
        assert float(saved.reward.mean()) == pytest.approx(row["reward"])
        assert len(saved) == 24
        assert 0 < row["diversity"] <= 1
        assert row["kl"] >= -1e-9
        assert name in out.output
    assert rows["TransferQ direct"]["reward"] > plain["reward"]
    assert rows["BestOfN"]["reward"] > plain["reward"]
    # What is compared has read about as much.
    read = rows["TransferQ direct"]["model_tokens"]
    for name in ("TransferQ soft", "ControlledDecoding", "BestOfN"):
        assert 0.4 < rows[name]["model_tokens"] / read < 2.5, name


def test_one_method(tmp_path: Path) -> None:
    out = run("--quick", "--method", "Args", "--out", tmp_path)
    assert out.exit_code == 0, out.output
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["args.parquet", "reward-kl.png", "summary.json"]


def test_what_is_refused(tmp_path: Path) -> None:
    out = run("--method", "Beam", "--out", tmp_path)
    assert out.exit_code == 2
    assert "--method must be one of sampling, TransferQ direct" in out.output


@pytest.mark.parametrize(
    ("option", "value", "text"),
    [
        ("--alpha", "0", "--alpha must be > 0, got 0"),
        ("--alpha", "nan", "--alpha must be > 0, got nan"),
        ("--beta", "-1", "--beta must be > 0 and finite, got -1"),
        ("--beta", "inf", "--beta must be > 0 and finite, got inf"),
    ],
)
def test_bad_options_are_refused_at_once(
    option: str, value: str, text: str, tmp_path: Path
) -> None:
    out = run(option, value, "--out", tmp_path / "out")
    assert out.exit_code == 2, out.output
    assert text in out.output
    assert not (tmp_path / "out").exists()


def test_a_reward_that_fails_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewards, "vader", lambda: lambda texts: [math.nan for _ in texts])
    out = run("--quick", "--method", "Args", "--out", tmp_path)
    assert out.exit_code == 2, out.output
    assert "aligndec transfer-q: Args: reward must return finite numbers, got item 0" in out.output


def test_diversity() -> None:
    assert diversity([1, 2, 3, 4, 5]) == 1.0
    assert diversity([7]) == 1.0
    # 2-grams 1 of 3, 3-grams 1 of 2, 4-grams 1 of 1.
    assert diversity([4, 4, 4, 4]) == pytest.approx(1 / 6)


def test_the_budget() -> None:
    assert (QUICK.strings, QUICK.block) == (24, 3)
    best = METHODS["BestOfN"].kl(None, QUICK)
    assert best == pytest.approx(math.log(24) - 23 / 24)


@pytest.mark.parametrize("kind", ["pdf", "svg"])
def test_figures_in_other_formats(kind: str, tmp_path: Path) -> None:
    out = run("--quick", "--method", "Args", "--format", kind, "--out", tmp_path)
    assert out.exit_code == 0, out.output
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["args.parquet", f"reward-kl.{kind}", "summary.json"]
