"""torchrun and SLURM arrays: which rank a process is, and that ranks make one run together."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pyarrow")

from support.corpora import prompts_file, shard_bytes, toy_settings

from aligndec.corpus import Rank, Run, rank_here, run_rank

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("environment", "rank"),
    [
        ({}, None),
        ({"RANK": "1", "WORLD_SIZE": "4"}, Rank(1, 4, False)),
        ({"RANK": "1", "WORLD_SIZE": "4", "TORCHELASTIC_RUN_ID": "x"}, Rank(1, 4, True)),
        ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_MAX": "7"}, Rank(3, 8, False)),
        (
            {
                "SLURM_ARRAY_TASK_ID": "5",
                "SLURM_ARRAY_TASK_MIN": "1",
                "SLURM_ARRAY_TASK_MAX": "9",
                "SLURM_ARRAY_TASK_STEP": "2",
            },
            Rank(2, 5, False),
        ),
    ],
)
def test_the_rank_of_a_process(environment: dict[str, str], rank: Rank | None) -> None:
    assert rank_here(environment) == rank


def test_a_rank_that_cannot_be() -> None:
    with pytest.raises(ValueError, match=r"RANK must be in \[0, WORLD_SIZE\), got 4 of 4"):
        rank_here({"RANK": "4", "WORLD_SIZE": "4"})


def test_ranks_share_the_shards_and_another_number_goes_on(tmp_path: Path) -> None:
    one = Run.create(tmp_path / "one", toy_settings(tmp_path))
    one.work()
    run = Run.create(tmp_path / "run", toy_settings(tmp_path))
    assert run_rank(run, Rank(1, 2, False)).done == 2
    assert run.pending() == [0, 2, 4]
    for rank in range(3):
        run_rank(Run.open(tmp_path / "run"), Rank(rank, 3, False))
    assert shard_bytes(run) == shard_bytes(one)


@pytest.mark.slow
def test_torchrun(tmp_path: Path) -> None:
    settings = toy_settings(tmp_path)
    one = Run.create(tmp_path / "one", settings)
    one.work()
    sizes = ["--draws", "3", "--shard-strings", "6", "--max-new-tokens", "12", "--slots", "4"]
    subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"),
            *("-m", "aligndec.cli", "corpus", "run", "--model", "toy", "--seed", "5"),
            *("--prompts", str(prompts_file(tmp_path)), "--out", str(tmp_path / "run"), *sizes),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        timeout=300,
    )
    assert shard_bytes(Run.open(tmp_path / "run")) == shard_bytes(one)
