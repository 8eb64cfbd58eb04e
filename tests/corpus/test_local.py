"""Several processes on one machine: the same bytes, deaths, a full disk, a second driver."""

import resource
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from support.corpora import Dies, shard_bytes, toy_settings

from aligndec.corpus import Busy, Full, Run, run_local


@pytest.mark.slow
def test_two_workers_write_the_bytes_of_one_and_a_shard_that_kills_is_set_aside(
    tmp_path: Path,
) -> None:
    one = Run.create(tmp_path / "one", toy_settings(tmp_path))
    one.work()
    two = Run.create(tmp_path / "two", toy_settings(tmp_path))
    status = run_local(two, 2, work=Dies)
    assert "died (SIGKILL)" in status.failed[1]["error"]
    assert (status.done, list(status.failed)) == (4, [1])
    assert run_local(two, 2).complete
    assert shard_bytes(one) == shard_bytes(two)


def test_a_second_driver_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", toy_settings(tmp_path))
    with run.lock():
        with pytest.raises(Busy, match="no other driver works on"):
            run_local(Run.open(tmp_path / "run"), 1)
        with pytest.raises(Busy, match="no other driver works on"):
            Run.open(tmp_path / "run").work()
    with run.lock(shared=True), Run.open(tmp_path / "run").lock(shared=True):
        pass
    assert run.work().complete


def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", toy_settings(tmp_path))
    run.work([0])
    before = shard_bytes(run)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))  # writes fail as on a full disk
    try:
        with pytest.raises(Full, match=r"room for the shards.*make room and run it again"):
            run.work()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert shard_bytes(run) == before  # no partial file is left
    assert not run.status().failed
    assert run.work().complete
