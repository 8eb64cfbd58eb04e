"""Runs in one process: what is in the files, what is refused, what a bad shard costs."""

import json
import shutil
from pathlib import Path

import pytest
import torch

pytest.importorskip("pyarrow")

from support.corpora import fails_on_some, prompts_file, shard_bytes, toy_settings

import aligndec as ad
from aligndec.corpus import Run, Settings, score_run
from aligndec.testing import toy_model


def test_a_run_holds_the_strings_of_generate(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", toy_settings(tmp_path, adaptor="temperature=0.8,top_p=0.9"))
    status = run.work()
    assert (status.done, status.total, status.complete, status.failed) == (5, 5, True, {})
    model, tokenizer = toy_model()
    prompts = [json.loads(line) for line in prompts_file(tmp_path).read_text().splitlines()]
    expected = ad.generate(
        model,
        [tokenizer(p["prompt"])["input_ids"] for p in prompts],
        adaptor=ad.Adaptor(temperature=0.8, top_p=0.9),
        max_new_tokens=12,
        seed=5,
        num_return_sequences=3,
        prompt_ids=[p["id"] for p in prompts],
    )
    shards = list(run.generations())
    assert run.generation().completions() == expected.completions()
    assert [s for shard in shards for s in shard.completions()] == expected.completions()
    for name in ("log_p", "log_q", "log_kept", "kl", "status", "finished", "draw"):
        assert torch.equal(torch.cat([getattr(s, name) for s in shards]), getattr(expected, name))
    rows = run.dataset().to_table().to_pylist()
    assert len({(row["prompt_id"], row["draw"]) for row in rows}) == len(rows) == 30
    assert rows[0]["prompt_text"] == prompts[0]["prompt"]
    assert rows[0]["text"] == tokenizer.batch_decode([rows[0]["tokens"]])[0]


def test_the_bytes_do_not_depend_on_who_made_which_shard(tmp_path: Path) -> None:
    settings = toy_settings(tmp_path)
    one = Run.create(tmp_path / "one", settings)
    one.work()
    two = Run.create(tmp_path / "two", settings)
    two.work([3, 1])
    assert two.pending() == [0, 2, 4]
    Run.create(tmp_path / "two", settings).work()
    assert shard_bytes(one) == shard_bytes(two)
    other = Run.create(tmp_path / "other", toy_settings(tmp_path, seed=6))
    other.work()
    assert all(
        a != b for a, b in zip(shard_bytes(one).values(), shard_bytes(other).values(), strict=True)
    )


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"seed": 6}, "seed: 5 there, 6 now"),
        ({"adaptor": "top_p=0.5"}, "adaptor's top_p: 1.0 there, 0.5 now"),
        ({"slots": 5}, "slots: 4 there, 5 now"),
        ({"n": 11}, "the prompts: .* there"),
        ({"draws": 2}, "draws: 3 there, 2 now"),
    ],
)
def test_other_settings_are_refused(tmp_path: Path, changed: dict[str, object], told: str) -> None:
    Run.create(tmp_path / "run", toy_settings(tmp_path))
    with pytest.raises(ValueError, match=f"a run with the same settings.*{told}"):
        Run.create(tmp_path / "run", toy_settings(tmp_path, **changed))


def test_slots_that_nobody_asked_for_are_those_of_the_run(tmp_path: Path) -> None:
    Run.create(tmp_path / "run", toy_settings(tmp_path))
    assert Run.create(tmp_path / "run", toy_settings(tmp_path, slots=None)).manifest.slots == 4
    planned = Run.create(tmp_path / "new", toy_settings(tmp_path, slots=None)).manifest.slots
    assert planned == 6  # a shard, as a row of the toy model is nothing


@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_file_cut_short_is_made_again(tmp_path: Path, keep: float) -> None:
    run = Run.create(tmp_path / "run", toy_settings(tmp_path))
    run.work()
    before = shard_bytes(run)
    path = run.path(2)
    path.write_bytes(path.read_bytes()[: int(keep * path.stat().st_size)])
    assert run.pending() == [2]
    run.work()
    assert shard_bytes(run) == before


def test_a_file_of_another_run_is_not_done(tmp_path: Path) -> None:
    run = Run.create(tmp_path / "run", toy_settings(tmp_path))
    other = Run.create(tmp_path / "other", toy_settings(tmp_path, seed=6))
    for each in (run, other):
        each.work()
    before = shard_bytes(run)
    shutil.copy(other.path(1), run.path(1))
    assert run.pending() == [1]
    run.work()
    assert shard_bytes(run) == before


def test_a_reward_that_raises_costs_its_shards_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALIGNDEC_TEST_GOOD", str(tmp_path / "good"))
    name = f"{fails_on_some.__module__}:fails_on_some"
    run = Run.create(tmp_path / "run", toy_settings(tmp_path, reward=name))
    status = run.work()
    # WORDS has five texts: prompts 0 and 5 are bad, shards hold two.
    assert sorted(status.failed) == [0, 2]
    assert (status.done, status.pending) == (3, 0)
    assert "no reward for this one" in status.failed[0]["error"]
    assert status.failed[0]["attempts"] == 3
    (tmp_path / "good").touch()
    status = run.work()
    assert status.complete
    assert not status.failed
    rewards = run.dataset().to_table(columns=["reward", "text"]).to_pylist()
    assert all(row["reward"] == len(row["text"]) for row in rewards)


def test_scores_are_new_files(tmp_path: Path) -> None:
    pytest.importorskip("vaderSentiment")
    run = Run.create(tmp_path / "run", toy_settings(tmp_path))
    run.work([0, 1])
    before = shard_bytes(run)
    assert score_run(run, "vader") == ("vader", 2)
    run.work()
    assert score_run(run, "vader") == ("vader", 3)
    assert score_run(run, "vader") == ("vader", 0)
    assert {n: b for n, b in shard_bytes(run).items() if n in before} == before
    tables = list(run.tables())
    values = [v for table in tables for v in table["vader"].to_pylist()]
    assert len(values) == 30
    assert min(values) < 0 < max(values)
    assert [v for t in tables for v in t["prompt_index"].to_pylist()] == [i // 3 for i in range(30)]
    with pytest.raises(ValueError, match="of another one"):
        score_run(run, "support.corpora:fails_on_some", "vader")
    with pytest.raises(ValueError, match="not be a column"):
        score_run(run, "vader", "log_p")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"draws": 0}, "draws must be >= 1"),
        ({"method": "magic"}, "method must be one of local"),
        ({"method": "transfer-q"}, "reward must be given"),
        ({"method_options": {"k": 1}}, "method_options must be empty"),
        ({"adaptor": "heat=2"}, "must name fields of Adaptor"),
        ({"adaptor": "top_p"}, "name=value"),
        ({"engine": "abacus"}, "engine must be one of"),
    ],
)
def test_bad_settings_are_refused(tmp_path: Path, wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Run.create(tmp_path / "run", toy_settings(tmp_path, **wrong))
    assert not (tmp_path / "run").exists()


def test_settings_survive_their_file() -> None:
    settings = Settings(
        model="toy", prompts="p", adaptor="dynamic_temperature=0.5:1.5:1,min_p=0.1", method="smc",
        method_options={"n_particles": 8},
    )  # fmt: skip
    assert Settings.from_json(json.loads(json.dumps(settings.to_json()))) == settings
