"""The methods that Transfer Q* is compared with: laws by enumeration, books, files."""

import itertools
import math
from pathlib import Path

import pytest
import torch
from support.tq_oracle import TOYS, Toy, p_value

import aligndec as ad
from aligndec import transfer_q as tq

LEVEL, DRAWS, ALPHA = 1e-6, 12_000, 0.5
TOY = TOYS["with end"]
PLAIN = TOY.string_law({s: row.exp() for s, row in TOY.sft.items()})


def decode(decoder: tq.TransferQ, draws: int = DRAWS, seed: int = 7):
    return decoder.generate([[1]], max_new_tokens=TOY.length, num_return_sequences=draws, seed=seed)


def best_of_n(law: torch.Tensor, r: torch.Tensor, n: int) -> torch.Tensor:
    """The best of n draws, rewards without ties: F(r)^n − F(r−)^n."""
    order = r.argsort()
    below = torch.cat([torch.zeros(1).double(), law[order].cumsum(0)])
    return torch.empty_like(law).scatter(0, order, below[1:] ** n - below[:-1] ** n)


def soft_best_of_n(law: torch.Tensor, r: torch.Tensor, n: int, beta: float) -> torch.Tensor:
    out = torch.zeros_like(law)
    for pool in itertools.product(range(len(law)), repeat=n):
        index = torch.tensor(pool)
        out.index_add_(0, index, (beta * r[index]).softmax(0) * law[index].prod())
    return out


def blockwise(toy: Toy, n: int) -> torch.Tensor:
    """Law of strings when each decision takes the best of n blocks of 2 tokens."""

    def blocks(s: tuple[int, ...]) -> list[tuple[float, tuple[int, ...]]]:
        if toy.done(s):
            return [(1.0, s)]
        out = []
        for z in range(toy.vocab):
            a = float(toy.sft[s][z].exp())
            if toy.done((*s, z)):
                out.append((a, (*s, z)))
            else:
                tail = toy.sft[(*s, z)].exp().tolist()
                out += [(a * b, (*s, z, x)) for x, b in enumerate(tail)]
        return out

    law = dict.fromkeys(toy.strings, 0.0)
    first = blocks(())
    for p, s in zip(_best(first, n), (y for _, y in first), strict=True):
        rest = blocks(s)
        for q, y in zip(_best(rest, n) if not toy.done(s) else [1.0], rest, strict=True):
            law[y[1]] += float(p) * float(q)
    return torch.tensor(list(law.values()), dtype=torch.float64)


def partial_reward(text: tuple[int, ...]) -> float:
    return math.sin(sum((7.3 + i) * (x + 1) for i, x in enumerate(text)))


def _best(ways: list[tuple[float, tuple[int, ...]]], n: int) -> torch.Tensor:
    law = torch.tensor([p for p, _ in ways], dtype=torch.float64)
    r = torch.tensor([partial_reward(y) for _, y in ways], dtype=torch.float64)
    return best_of_n(law, r, n)


@pytest.mark.statistical
def test_laws_of_best_of_n() -> None:
    lm, reward = TOY.lm(TOY.sft), TOY.as_reward(TOY.reward)
    r = torch.tensor(list(TOY.reward.values()), dtype=torch.float64)
    hard = TOY.cells(decode(tq.BestOfN(lm, reward, n=3)))
    assert p_value(hard, best_of_n(PLAIN, r, 3)) > LEVEL
    assert p_value(hard, best_of_n(PLAIN, r, 2)) < LEVEL
    soft = TOY.cells(decode(tq.BestOfN(lm, reward, n=3, beta=1.5)))
    assert p_value(soft, soft_best_of_n(PLAIN, r, 3, 1.5)) > LEVEL
    # Not the tilted law of the whole vocabulary, nor the weights upside down.
    assert p_value(soft, (PLAIN.log() + 1.5 * r).softmax(0)) < LEVEL
    assert p_value(soft, soft_best_of_n(PLAIN, r, 3, 1 / 1.5)) < LEVEL


@pytest.mark.statistical
def test_law_of_blockwise_best_of_n() -> None:
    def reward(prompts: list[list[int]], texts: list[list[int]]) -> list[float]:
        return [partial_reward(tuple(text)) for text in texts]

    decoder = tq.BlockwiseBestOfN(TOY.lm(TOY.sft), reward, n=2, block_size=2)
    cells = TOY.cells(decode(decoder))
    assert p_value(cells, blockwise(TOY, 2)) > LEVEL
    assert p_value(cells, blockwise(TOY, 1)) < LEVEL
    whole = tq.BlockwiseBestOfN(TOY.lm(TOY.sft), TOY.as_reward(TOY.reward), n=3, block_size=9)
    r = torch.tensor(list(TOY.reward.values()), dtype=torch.float64)
    cells = TOY.cells(decode(whole))
    assert p_value(cells, best_of_n(PLAIN, r, 3)) > LEVEL


@pytest.mark.statistical
def test_law_of_args() -> None:
    def reward(prompts: list[list[int]], texts: list[list[int]]) -> list[float]:
        return [partial_reward(tuple(text)) for text in texts]

    lm = TOY.lm(TOY.sft)
    values = {
        s: torch.tensor([partial_reward((*s, z)) for z in range(TOY.vocab)]).double()
        for s in TOY.prefixes
    }
    policy = {s: (TOY.sft[s] + values[s] / ALPHA).softmax(0) for s in TOY.prefixes}
    cells = TOY.cells(decode(tq.Args(lm, reward, k=3, alpha=ALPHA, select="sample")))
    assert p_value(cells, TOY.string_law(policy)) > LEVEL
    assert p_value(cells, PLAIN) < LEVEL
    greedy = decode(tq.Args(lm, reward, k=3, alpha=ALPHA), 1)
    s: tuple[int, ...] = ()
    while not TOY.done(s):
        s = (*s, int(policy[s].argmax()))
    assert greedy.completions() == [list(s)]


def test_controlled_decoding_is_direct_transfer_of_the_model_itself() -> None:
    lm, reward = TOY.lm(TOY.sft), TOY.as_reward(TOY.reward)
    options = {"k": 3, "alpha": 0.3, "n_rollouts": 2, "rollout_tokens": 2}
    a = decode(tq.ControlledDecoding(lm, reward, **options), 50)
    b = decode(tq.TransferQ(lm, reward, rollout="sample", **options), 50)
    assert torch.equal(a.tokens, b.tokens)
    assert torch.equal(a.log_alg, b.log_alg)


def test_books_and_costs_of_best_of_n() -> None:
    lm, reward = TOY.lm(TOY.sft), TOY.as_reward(TOY.reward)
    out = decode(tq.BestOfN(lm, reward, n=4), 5)
    pool = ad.generate(lm, [[1]], max_new_tokens=3, num_return_sequences=20, seed=7)
    rewards = torch.tensor(reward([], pool.completions()), dtype=torch.float64).view(5, 4)
    assert out.reward.tolist() == pytest.approx(rewards.amax(1).tolist())
    assert (
        out.tokens.tolist() == pool.select(rewards.argmax(1) + 4 * torch.arange(5)).tokens.tolist()
    )
    assert out.kl.tolist() == pytest.approx([math.log(4)] * 5)
    assert (out.reward_calls, out.reward_items, out.model_forwards) == (1, 20, 3)
    soft = decode(tq.BestOfN(lm, reward, n=4, beta=0.7), 5)
    weights = (0.7 * rewards).softmax(1)
    kl = (weights * (4 * weights).log()).sum(1)
    torch.testing.assert_close(soft.kl, kl, rtol=0, atol=1e-12)


def test_files_keep_what_the_reward_brought(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    out = decode(tq.TransferQ(TOY.lm(TOY.sft), TOY.as_reward(TOY.reward), rollout_tokens=2), 4)
    out.save(tmp_path / "run.parquet")
    back = ad.Generation.load(tmp_path / "run.parquet")
    assert type(back) is type(out) is tq.TransferQGeneration
    for name in ("tokens", "log_ref", "log_alg", "kl", "reward", "log_p"):
        assert torch.equal(getattr(back, name), getattr(out, name)), name
    for name in ("model_forwards", "model_tokens", "reward_calls", "reward_items"):
        assert getattr(back, name) == getattr(out, name), name
