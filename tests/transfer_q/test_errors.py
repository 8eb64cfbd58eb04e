"""What Transfer Q* and its rewards refuse, and how they say it."""

import math
import pickle

import pytest
import torch

import aligndec as ad
from aligndec import transfer_q as tq
from aligndec.testing.table_lm import TableLM

LM = TableLM.random(6, order=1, eos_token_id=5, seed=4)


def reward(prompts: list[list[int]], texts: list[list[int]]) -> list[float]:
    return [float(len(text)) for text in texts]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "TransferQ: k must be >= 1, got 0"),
        ({"alpha": 0.0}, "alpha must be > 0"),
        ({"alpha": math.nan}, "alpha must be > 0"),
        ({"rollout_tokens": -1}, "rollout_tokens must be >= 0"),
        ({"block_size": 0}, "block_size must be >= 1"),
        ({"mode": "secret"}, "mode must be one of 'direct', 'indirect', 'soft', got 'secret'"),
        ({"rollout": "beam"}, "rollout must be one of"),
        ({"mode": "soft"}, "beta must be given for mode='soft'"),
        ({"mode": "soft", "beta": -1.0}, "beta must be > 0"),
        ({"mode": "indirect", "beta": 1.0}, "baseline_reward or sft must be given"),
        (
            {"mode": "indirect", "beta": 1.0, "baseline_reward": reward, "rollout": "sample"},
            "n_rollouts must be >= 2 .*the weight of a single rollout cancels",
        ),
        (
            {"mode": "indirect", "beta": 1.0, "baseline_reward": reward, "n_rollouts": 2},
            "rollout must be 'sample' .*equal weights, which cancel",
        ),
        ({"reference": "sft"}, "sft must be given for reference='sft'"),
        ({"value_fn": 3}, "value_fn must be callable"),
        ({"value_fn": reward, "mode": "soft", "beta": 1.0}, "mode must be 'direct' with value_fn"),
        ({"gate_entropy": -1.0}, "gate_entropy must be >= 0"),
        ({"gate_top1": 0.0}, r"gate_top1 must be in \(0, 1\]"),
        ({"gate_entropy": 1.0, "block_size": 2}, "block_size must be 1 with a gate"),
        (
            {"rollout_adaptor": ad.Adaptor(mirostat_tau=2.0)},
            "rollout_adaptor must be without mirostat",
        ),
        ({"compat": "old"}, "compat must be one of None, 'official'"),
        ({"compat": "official", "rollout": "sample"}, "rollout must be 'greedy' with compat"),
        (
            {"compat": "official", "mode": "soft", "beta": 1.0},
            "mode must be 'direct' or 'indirect'",
        ),
        ({"sft": TableLM.random(4), "reference": "sft"}, "sft must have vocab_size >= 6, got 4"),
    ],
    ids=lambda given: given if isinstance(given, str) else "-".join(given),
)
def test_options(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tq.TransferQ(LM, reward, **options)


def test_types() -> None:
    with pytest.raises(TypeError, match="reward must be a callable"):
        tq.TransferQ(LM, 3.0)
    with pytest.raises(TypeError, match="rollout_adaptor must be an Adaptor"):
        tq.TransferQ(LM, reward, rollout_adaptor=0.7)
    with pytest.raises(TypeError, match="k must be an int"):
        tq.TransferQ(LM, reward, k=2.0)
    for name in ("alpha", "beta", "gate_entropy", "gate_top1"):
        with pytest.raises(TypeError, match=f"TransferQ: {name} must be a number, got 'a'"):
            tq.TransferQ(LM, reward, **{name: "a"})
    with pytest.raises(TypeError, match="alpha must be a number, got None"):
        tq.TransferQ(LM, reward, alpha=None)
    with pytest.raises(TypeError, match="BestOfN: beta must be a number, got 'a'"):
        tq.BestOfN(LM, reward, n=2, beta="a")
    with pytest.raises(ValueError, match="max_new_tokens must be >= 1"):
        tq.TransferQ(LM, reward).generate([[1]], max_new_tokens=0)
    for build in (
        lambda: tq.BestOfN(LM, reward, n=0),
        lambda: tq.BlockwiseBestOfN(LM, reward, n=2, block_size=0),
    ):
        with pytest.raises(ValueError, match="must be >= 1"):
            build()
    with pytest.raises(ValueError, match="beta must be > 0"):
        tq.BestOfN(LM, reward, n=2, beta=0.0)


@pytest.mark.parametrize(
    ("answer", "items", "message"),
    [
        (lambda n: [0.0] * (n - 1), range(4), "one number per item = 4, got 3 values"),
        (lambda n: 1.0, range(4), "one number per item = 4, got 1.0"),
        (lambda n: [0.0, math.nan, 1.0, None], [1, 3], r"item 1: nan for \[.*\], item 3: None"),
        (lambda n: torch.tensor([0.0, 0.0, math.inf, 0.0]), [2], "item 2: inf"),
        (lambda n: ["good", 0.0, 0.0, 0.0], [0], "item 0: 'good'"),
        (lambda n: 1 / 0, range(4), r"raised ZeroDivisionError: division by zero \(4 items\)"),
    ],
    ids=["short", "scalar", "nan", "inf", "word", "raises"],
)
def test_rewards_name_their_items(answer, items, message: str) -> None:
    decoder = tq.TransferQ(LM, lambda p, c: answer(len(c)), k=2, rollout_tokens=2)
    with pytest.raises(ad.RewardError, match=message) as caught:
        decoder.generate([[1], [3]], max_new_tokens=2, eos_token_id=())
    assert caught.value.items == list(items)
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.items) == (str(caught.value), caught.value.items)
    assert isinstance(caught.value, ad.AligndecError)


@pytest.mark.parametrize("build", [tq.TransferQ, tq.Args, lambda *a: tq.BestOfN(*a, n=2)])
def test_batch_sizes_and_seeds(build) -> None:
    decoder = build(LM, reward)
    name = type(decoder).__name__
    with pytest.raises(ValueError, match=f"^{name}: batch_size must be >= 1, got 0$"):
        decoder.generate([[1]], max_new_tokens=2, batch_size=0)
    with pytest.raises(TypeError, match=f"^{name}: batch_size must be an int, got 2.0$"):
        decoder.generate([[1]], max_new_tokens=2, batch_size=2.0)
    with pytest.raises(TypeError, match=f"^{name}: seed must be an int, got 'a'$"):
        decoder.generate([[1]], max_new_tokens=2, seed="a")


def test_value_functions_are_checked() -> None:
    decoder = tq.TransferQ(LM, reward, k=3, value_fn=lambda p, c, z: None)
    with pytest.raises(TypeError, match=r"value_fn must return values \[B, k\], got None"):
        decoder.generate([[1]], max_new_tokens=2)
    for answer in (torch.zeros(2, 3), torch.full((1, 3), math.nan)):
        decoder = tq.TransferQ(LM, reward, k=3, value_fn=lambda p, c, z, a=answer: a)
        with pytest.raises(ValueError, match=r"value_fn must return finite \[B, k\] = \[1, 3\]"):
            decoder.generate([[1]], max_new_tokens=2)
