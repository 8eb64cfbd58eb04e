"""What a shard is made by: whole-string samplers, decoding with a reward, reference models."""

import json
from pathlib import Path

import pytest
import torch

pytest.importorskip("pyarrow")

from support.corpora import prompts_file, toy_settings

import aligndec as ad
from aligndec.corpus import Run
from aligndec.testing import TableLM, ToyTokenizer, toy_model
from aligndec.transfer_q import TransferQGeneration

SIZES = {"n": 4, "draws": 4, "max_new_tokens": 6, "shard_strings": 16}


def lengths(completions: list[str]) -> list[float]:
    return [float(len(text.split())) for text in completions]


def another_model() -> tuple[TableLM, ToyTokenizer]:
    return TableLM.random(len(ToyTokenizer.words), eos_token_id=0, seed=9), ToyTokenizer()


def prompt_ids(folder: Path) -> tuple[list[list[int]], list[int]]:
    rows = [json.loads(line) for line in prompts_file(folder, 4).read_text().splitlines()]
    return [ToyTokenizer()(row["prompt"])["input_ids"] for row in rows], [r["id"] for r in rows]


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("imh", {"burn_in": 3}),
        ("sir", {"max_proposals": 16}),
        ("rejection", {}),
        ("smc", {"n_particles": 8}),
    ],
)
def test_laws_of_whole_strings(tmp_path: Path, method: str, options: dict[str, int]) -> None:
    adaptor = ad.Adaptor(temperature=0.8, top_k=5)
    run = Run.create(
        tmp_path / "run",
        toy_settings(tmp_path, adaptor=adaptor, method=method, method_options=options, **SIZES),
    )
    assert not run.work().failed
    ids, names = prompt_ids(tmp_path)
    options = dict(options)
    burn_in = options.pop("burn_in", 0)
    sampler = ad.GlobalSampler(
        toy_model()[0], adaptor, method=method, max_new_tokens=6, batch_size=4, **options
    )
    expected = sampler.sample(ids, n_samples=4, seed=5, prompt_ids=names, burn_in=burn_in)
    found = run.generation()
    samples = expected.generation.select(expected.index.reshape(-1))
    assert found.completions() == samples.completions()
    assert found.draw.tolist() == [0, 1, 2, 3] * 4
    proposal = run.dataset().to_table(columns=["proposal"])["proposal"].to_pylist()
    assert proposal == samples.draw.tolist()


@pytest.mark.parametrize(
    ("method", "options"),
    [
        ("transfer-q", {"k": 3, "rollout_tokens": 2}),
        ("best-of-n", {"n": 4}),
        ("args", {"k": 3}),
    ],
)
def test_decoding_with_a_reward(tmp_path: Path, method: str, options: dict[str, int]) -> None:
    reward = f"{lengths.__module__}:lengths"
    run = Run.create(
        tmp_path / "run",
        toy_settings(tmp_path, method=method, method_options=options, reward=reward, **SIZES),
    )
    assert not run.work().failed
    found = run.generation()
    assert isinstance(found, TransferQGeneration)
    texts = run.dataset().to_table(columns=["text"])["text"].to_pylist()
    assert found.reward.tolist() == lengths(texts)
    plain = Run.create(tmp_path / "plain", toy_settings(tmp_path, reward=reward, **SIZES))
    plain.work()
    rewards = plain.dataset().to_table(columns=["reward"])["reward"].to_pylist()
    assert found.reward.mean() > sum(rewards) / len(rewards)


@pytest.mark.parametrize("method", ["local", "sir"])
def test_a_reference_reads_the_strings(tmp_path: Path, method: str) -> None:
    reference = f"{another_model.__module__}:another_model"
    run = Run.create(
        tmp_path / "run", toy_settings(tmp_path, reference=reference, method=method, **SIZES)
    )
    assert not run.work().failed
    found = run.generation()
    expected = ad.score_strings(another_model()[0], found.prompts(), found.completions())
    torch.testing.assert_close(found.log_p_ref, expected.log_p[0])
    with pytest.raises(ValueError, match=r"the reference: .* there, None now"):
        Run.create(tmp_path / "run", toy_settings(tmp_path, method=method, **SIZES))
