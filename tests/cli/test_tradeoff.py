"""`aligndec tradeoff` from end to end on the toy model, killed and continued."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("typer")
pytest.importorskip("pyarrow")
pytest.importorskip("matplotlib")
pytest.importorskip("vaderSentiment")

from typer.testing import CliRunner

from aligndec.cli.app import typer_app
from aligndec.cli.tradeoff import report as study_report

FEW = (
    "--adaptor",
    "ancestral",
    "--adaptor",
    "top-k",
    "--temperature",
    "0.75",
    "--temperature",
    "1",
)
RESULTS = ("results.json", "schemes.csv", "report.md")
FIGURES = ("string_level.png", "corpus_level.png", "acceptance.png")


def run(*args: object):
    return CliRunner().invoke(typer_app, ["tradeoff", "--model", "toy", *map(str, args)])


def parts(folder: Path) -> dict[str, Path]:
    return {str(p.relative_to(folder)): p for p in sorted(folder.rglob("*.parquet"))}


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("study") / "quick"
    done = run("--quick", "--out", out)
    assert done.exit_code == 0, done.output
    return out


def test_quick_runs_every_scheme_and_writes_everything(quick: Path) -> None:
    results = json.loads((quick / "results.json").read_text())
    assert len(results["schemes"]) == 25 * 3
    for name in (*RESULTS, *FIGURES):
        assert (quick / name).stat().st_size > 0
    kinds = [name.split("/")[0] for name in parts(quick)]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "strings": 75,
        "rewards": 75,
        "corpora": 75,
    }
    report = (quick / "report.md").read_text()
    assert "nucleus-1.25" in report
    assert study_report.markdown(results) == report


def test_the_numbers_hang_together(quick: Path) -> None:
    results = json.loads((quick / "results.json").read_text())
    rows = {(row["scheme"], row["law"]): row for row in results["schemes"]}
    plain = rows["ancestral-1", "global"]
    assert plain["acceptance"] == 1.0
    assert plain["log_weight_sd"] == 0.0
    assert plain["reward"] == pytest.approx(rows["ancestral-1", "local"]["reward"])
    assert rows["ancestral-1", "aligned"]["reward"] > plain["reward"]
    for row in rows.values():
        assert 1.0 <= row["ess"] <= row["draws"] + 1e-9
        assert row["acceptance"] == pytest.approx(row["expected_acceptance"], abs=0.1)
    sets = results["typical"]["sets"]
    assert sets[0]["pearson"] < -0.7  # the most typical corpora
    assert sets[0]["pearson"] < sets[-1]["pearson"]


def test_a_second_run_repeats_nothing(quick: Path) -> None:
    before = {name: path.stat().st_mtime_ns for name, path in parts(quick).items()}
    contents = {name: (quick / name).read_bytes() for name in (*RESULTS, *FIGURES)}
    assert run("--quick", "--out", quick).exit_code == 0
    assert {name: path.stat().st_mtime_ns for name, path in parts(quick).items()} == before
    assert {name: (quick / name).read_bytes() for name in contents} == contents


def test_a_changed_setting_reuses_only_what_it_leaves_alone(tmp_path: Path) -> None:
    base = ("--quick", *FEW, "--out", tmp_path)
    assert run(*base).exit_code == 0
    old = set(parts(tmp_path))
    kept = {}
    for change in (("--beta", 0.3), ("--seed", 1)):
        assert run(*base, *change).exit_code == 0
        new = set(parts(tmp_path)) - old
        kept[change[0]] = sorted({name.split("/")[0] for name in new})
        assert len(new) == (12 if change[0] == "--beta" else 36)
        old |= new
    assert kept["--beta"] == ["corpora"]
    assert kept["--seed"] == ["corpora", "rewards", "strings"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_laws_of_whole_strings_from_particles(tmp_path: Path) -> None:
    """The local law stays what it is; the others come from filters, which are worth more."""
    rows = {}
    for method in ("imh", "smc"):
        done = run("--quick", *FEW, "--method", method, "--out", tmp_path)
        assert done.exit_code == 0, done.output
        found = json.loads((tmp_path / "results.json").read_text())
        rows[method] = {(r["scheme"], r["law"]): r for r in found["schemes"]}
        assert found["settings"]["method"] == method
    names = [name.split("/")[0] for name in parts(tmp_path)]
    assert names.count("particles") == names.count("strings") > 0
    for (scheme, law), row in rows["imh"].items():
        other = rows["smc"][scheme, law]
        if law == "local":
            assert row == other
        else:
            assert row["log_prior"] != other["log_prior"]
            assert abs(row["log_z"] - other["log_z"]) < 1.5
    sharp = [key for key in rows["imh"] if key[1] == "global" and "0.75" in key[0]]
    assert sharp
    assert all(rows["smc"][key]["ess"] > rows["imh"][key]["ess"] for key in sharp)
    bad = run("--quick", *FEW, "--method", "sir", "--out", tmp_path)
    assert bad.exit_code == 2
    assert "--method must be one of imh, smc, got 'sir'" in bad.output


def test_a_killed_run_continues_and_ends_the_same(tmp_path: Path) -> None:
    """SIGKILL while strings and again while corpora are made; then compare byte for byte."""
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("".join(f"prompt number {i} of the list\n" for i in range(12)))
    sizes = ("--draws", 30, "--max-new-tokens", 20, "--corpora", 60, "--corpus-size", 600)
    options = (*FEW, "--prompts", prompts, *sizes)
    command = [sys.executable, "-m", "aligndec.cli", "tradeoff", "--model", "toy"]
    out = tmp_path / "killed"

    def start() -> subprocess.Popen[bytes]:
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        line = [*command, *map(str, options), "--out", str(out)]
        return subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=env)

    seen: dict[str, int] = {}
    for kind, least in (("strings", 5), ("corpora", 4)):
        process = start()
        deadline = time.monotonic() + 120
        while len(list((out / kind).glob("*.parquet"))) < least:
            assert process.poll() is None, process.communicate()[1]
            assert time.monotonic() < deadline
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert not (out / "results.json").exists()
        now = {name: path.stat().st_mtime_ns for name, path in parts(out).items()}
        assert seen.items() <= now.items()  # nothing was made twice
        assert len(now) > len(seen)
        seen = now
    (out / "strings" / ".half-written.parquet.1.partial").write_bytes(b"x")
    process = start()
    errors = process.communicate(timeout=240)[1]
    assert process.returncode == 0, errors
    final = {name: path.stat().st_mtime_ns for name, path in parts(out).items()}
    assert seen.items() <= final.items()

    whole = tmp_path / "whole"
    done = run(*options, "--out", whole)
    assert done.exit_code == 0, done.output

    def contents(folder: Path) -> dict[str, bytes]:
        files = (p for p in folder.rglob("*") if p.is_file())
        return {str(p.relative_to(folder)): p.read_bytes() for p in files}

    ours, theirs = contents(out), contents(whole)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if ours[name] != theirs[name]] == []


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("--adaptor", "mirror"), "--adaptor must be one of ancestral"),
        (("--temperature", "0"), "--temperature must be in"),
        (("--beta", "0"), "--beta must be > 0"),
        (("--corpus-size", "2", "--quick"), "--corpus-size must be >= 3"),
        (("--reward", "no/such/folder/here"), "--reward must be vader"),
    ],
)
def test_bad_options_end_with_what_to_do(args: tuple[str, ...], text: str, tmp_path: Path) -> None:
    done = run(*args, "--out", tmp_path / "out")
    assert done.exit_code == 2
    assert text in " ".join(done.stderr.split())
    assert not (tmp_path / "out").exists()
