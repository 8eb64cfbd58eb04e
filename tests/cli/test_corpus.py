"""`aligndec corpus` from the command line: exit statuses, files, what is said."""

import json
from pathlib import Path

import pytest

pytest.importorskip("typer")
pytest.importorskip("pyarrow")

import pyarrow.parquet as pq
from support.corpora import fails_on_some, prompts_file
from typer.testing import CliRunner

from aligndec.cli import app


def corpus(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["corpus", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, " ".join(result.output.split())


def options(folder: Path, *more: object) -> list[object]:
    usual = ["--prompts", prompts_file(folder), "--out", folder / "run", "--slots", 4]
    sizes = ["--draws", 3, "--shard-strings", 6, "--max-new-tokens", 8]
    return ["run", "--model", "toy", *usual, *sizes, *more]


@pytest.fixture
def _one_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in this process, as a launcher with one rank does."""
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "1")


@pytest.mark.usefixtures("_one_rank")
def test_run_status_score_export(tmp_path: Path) -> None:
    pytest.importorskip("vaderSentiment")
    code, said = corpus(*options(tmp_path))
    assert (code, "10 prompts × 3, 5 shards, 4 slots" in said) == (0, True)
    code, said = corpus("status", tmp_path / "run")
    assert (code, "5 of 5 shards" in said) == (0, True)
    code, said = corpus("score", tmp_path / "run", "--reward", "vader")
    assert (code, "column vader: 5 shards scored" in said) == (0, True)
    code, said = corpus("export", tmp_path / "run", tmp_path / "all.parquet")
    assert (code, "30 strings" in said) == (0, True)
    table = pq.read_table(tmp_path / "all.parquet")
    assert table.num_rows == 30
    assert {"prompt_id", "draw", "text", "prompt_text", "log_p", "kl", "vader"} <= set(
        table.column_names
    )
    code, said = corpus("export", tmp_path / "run", tmp_path / "all.csv")
    assert (code, "must end in .parquet" in said) == (2, True)


@pytest.mark.usefixtures("_one_rank")
def test_other_settings_and_bad_ones_leave_with_2(tmp_path: Path) -> None:
    assert corpus(*options(tmp_path))[0] == 0
    code, said = corpus(*options(tmp_path, "--seed", 3))
    assert (code, "seed: 0 there, 3 now" in said) == (2, True)
    code, said = corpus(*options(tmp_path, "--adaptor", "heat=1"))
    assert (code, "fields of Adaptor" in said) == (2, True)
    code, said = corpus("status", tmp_path / "nothing")
    assert (code, "run.json" in said) == (2, True)


@pytest.mark.usefixtures("_one_rank")
def test_shards_that_were_set_aside_leave_with_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALIGNDEC_TEST_GOOD", str(tmp_path / "good"))
    reward = f"{fails_on_some.__module__}:fails_on_some"
    code, said = corpus(*options(tmp_path, "--reward", reward))
    assert code == 3
    assert "2 of 5 shards failed and were set aside, shard 0 with" in said
    code, said = corpus("status", tmp_path / "run")
    assert code == 3
    assert "no reward for this one" in said
    (tmp_path / "good").touch()
    assert corpus(*options(tmp_path, "--reward", reward))[0] == 0


@pytest.mark.slow
def test_the_command_of_the_readme(tmp_path: Path) -> None:
    examples = Path(__file__).parents[2] / "examples" / "prompts.jsonl"
    run = tmp_path / "run"
    code, _ = corpus("run", "--model", "toy", "--prompts", examples, "--out", run, "--workers", 2)
    assert code == 0
    manifest = json.loads((run / "run.json").read_text())
    assert manifest["n_prompts"] == len(examples.read_text().splitlines())
    assert len(list((run / "shards").glob("*.parquet"))) == manifest["n_shards"]
