"""Ray actors write the bytes of one process."""

import os
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from support.corpora import Dies, shard_bytes, toy_settings

from aligndec.corpus import Run, ray, run_ray


@pytest.mark.slow
def test_one_and_two_actors_write_the_bytes_of_one_process(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    one = Run.create(tmp_path / "one", toy_settings(tmp_path))
    one.work()
    for actors in (1, 2):
        run = Run.create(tmp_path / f"ray{actors}", toy_settings(tmp_path))
        assert run_ray(run, actors=actors).complete
        assert shard_bytes(run) == shard_bytes(one)


@pytest.mark.slow
def test_a_shard_that_kills_is_set_aside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    path = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    run = Run.create(tmp_path / "run", toy_settings(tmp_path))
    status = run_ray(run, actors=1, work=Dies)
    assert (status.done, list(status.failed)) == (4, [1])
    assert "died 3 times" in status.failed[1]["error"]


def test_resources_of_an_actor() -> None:
    needs = {"num_cpus": 2, "num_gpus": 1, "TPU": 4}
    assert ray.options_of(needs) == {"num_cpus": 2, "num_gpus": 1, "resources": {"TPU": 4}}
    assert ray.most_actors({"CPU": 16.0, "GPU": 3.0, "TPU": 8.0}, needs) == 2
    assert ray.most_actors({"CPU": 1.0}, {"num_cpus": 4}) == 1
