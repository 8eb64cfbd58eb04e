"""kill −9 at random moments: no string is missing or double, and the bytes are those of any run.

`make test-kill` takes ALIGNDEC_KILLS=20 moments of each kind; the suite one.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from support.corpora import shard_bytes, toy_settings

from aligndec.corpus import Run

KILLS = int(os.environ.get("ALIGNDEC_KILLS", "1"))
ROOT = Path(__file__).parents[2]
LAUNCHERS = ("local", "ray")
PATIENCE = 240.0  # seconds

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for children in /proc"),
]


def settings(tmp_path: Path):
    return toy_settings(tmp_path, n=60, draws=2, shard_strings=2, max_new_tokens=6)


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("expected")
    run = Run.create(folder / "run", settings(folder))
    run.work()
    return shard_bytes(run)


def start(run: Run, launcher: str) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-m", "support.drive", str(run.folder), launcher, "2"],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )


def processes() -> Iterator[tuple[int, int, str]]:
    """Process ids with those of their parents and their command lines."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            yield (
                int(folder.name),
                parent,
                (folder / "cmdline").read_bytes().decode(errors="replace"),
            )
        except OSError:
            continue


def below(pid: int, mark: str) -> list[int]:
    """Living processes under `pid` whose command line has `mark`."""
    every = list(processes())
    found, todo = [], [pid]
    while todo:
        parent = todo.pop()
        children = [(p, line) for p, above, line in every if above == parent]
        todo += [p for p, _ in children]
        found += [p for p, line in children if mark in line]
    return found


def wait_until(run: Run, driver: subprocess.Popen[bytes], count: int) -> None:
    """Wait until so many files are there, or the driver has ended."""
    end = time.monotonic() + PATIENCE
    while driver.poll() is None and len(list(run.shards.glob("0*.parquet"))) < count:
        assert time.monotonic() < end
        time.sleep(0.005)


def check(run: Run, expected: dict[str, bytes]) -> None:
    assert shard_bytes(run) == expected
    assert not run.status().failed
    rows = run.dataset().to_table(columns=["prompt_id", "draw"]).to_pylist()
    keys = [(row["prompt_id"], row["draw"]) for row in rows]
    assert len(set(keys)) == len(keys) == 120


@pytest.mark.parametrize("victim", ["worker", "driver"])
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_kill(tmp_path: Path, launcher: str, victim: str, expected: dict[str, bytes]) -> None:
    if launcher == "ray":
        pytest.importorskip("ray")
    mark = "ray::_Actor" if launcher == "ray" else "spawn_main"
    moments = random.Random(f"{launcher} {victim}")
    killed = 0
    while killed < KILLS:
        run = Run.create(tmp_path / f"run{killed}", settings(tmp_path))
        while killed < KILLS and run.pending():
            there = len(list(run.shards.glob("0*.parquet")))
            driver = start(run, launcher)
            wait_until(run, driver, there + moments.randint(1, 12))
            time.sleep(moments.uniform(0.0, 0.1))
            victims = [driver.pid] if victim == "driver" else below(driver.pid, mark)
            if driver.poll() is None and victims:
                os.kill(moments.choice(victims), signal.SIGKILL)
                killed += 1
            if victim == "worker":  # the driver goes on by itself
                assert driver.wait(PATIENCE) == 0
                check(run, expected)
            driver.wait(PATIENCE)
        if run.pending():  # at once: a dead driver keeps no lock
            assert start(run, launcher).wait(PATIENCE) == 0
        check(run, expected)
    assert killed == KILLS
