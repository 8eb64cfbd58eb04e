"""`batch_size` of Transfer Q* and its family: the same strings and books, bit for bit, in parts."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from support.counting import Counting

import aligndec as ad
from aligndec import transfer_q as tq
from aligndec.generation.prepare import groups
from aligndec.testing.table_lm import TableLM
from aligndec.transfer_q import decoder

PROMPTS = [[1, 2], [3, 0, 4], [2, 2, 2, 2]]
DRAWS = 3


def prefix_logits(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Logits of the whole prefix; unusable after token 1 behind a prompt that begins with 3."""
    total = ((ids + 1) * mask.cumsum(1) * mask).sum(1, keepdim=True)
    first = ids.gather(1, mask.int().argmax(1, keepdim=True))
    logits = torch.sin(total * torch.arange(1, 7) * 0.37) * 2
    return torch.where((first == 3) & (ids[:, -1:] == 1), math.nan, logits)


TABLE = TableLM.random(6, order=2, eos_token_id=5, seed=4)
OPEN = TableLM(TABLE.table.view(6, 6, 6))  # the same law, no end
BROKEN = ad.FunctionLM(prefix_logits, vocab_size=6, eos_token_id=5)


def reward(prompts: list[list[int]], texts: list[list[int]]) -> list[float]:
    pairs = zip(prompts, texts, strict=True)
    return [sum(math.sin(3 * i + x + len(p)) for i, x in enumerate(y)) for p, y in pairs]


def other(prompts: list[list[int]], texts: list[list[int]]) -> list[float]:
    return [0.1 * len(text) + math.cos(sum(text)) for text in texts]


def transfer(**options):
    return lambda lm: tq.TransferQ(lm, reward, **{"k": 3, "rollout_tokens": 4, **options})


SAMPLED = {"rollout": "sample", "n_rollouts": 2}
INDIRECT = {"mode": "indirect", "baseline_reward": other, "beta": 0.5}
SECRET = {"mode": "soft", "sft": OPEN, "beta": 0.5}
DECODERS = {
    "greedy": transfer(),
    "sampled": transfer(**SAMPLED, k=2),
    "indirect": transfer(**SAMPLED, **INDIRECT),
    "secret": transfer(**SAMPLED, **SECRET),
    "reference": transfer(**SAMPLED, sft=OPEN, reference="sft"),
    "blocks": transfer(**SAMPLED, block_size=3),
    "drawn": transfer(**SAMPLED, candidates="sample"),
    "gate": transfer(**SAMPLED, gate_entropy=1.5),
    "value": transfer(value_fn=lambda p, c, z: (z % 3).double()),
    "Args": lambda lm: tq.Args(lm, reward, k=3, select="sample"),
    "ControlledDecoding": lambda lm: tq.ControlledDecoding(lm, reward, k=3, rollout_tokens=2),
    "BlockwiseBestOfN": lambda lm: tq.BlockwiseBestOfN(lm, reward, n=3, block_size=2),
    "BestOfN": lambda lm: tq.BestOfN(lm, reward, n=2),
    "soft BestOfN": lambda lm: tq.BestOfN(lm, reward, n=3, beta=0.7),
}
COSTS = ("model_forwards", "model_tokens", "reward_calls", "reward_items")


def run(decoder, prompts=PROMPTS, **more):
    usual = {"max_new_tokens": 6, "seed": 3, "num_return_sequences": DRAWS}
    return decoder.generate(prompts, **{**usual, **more})


def assert_same(a: tq.TransferQGeneration, b: tq.TransferQGeneration) -> None:
    """Every field but the costs."""
    for field in dataclasses.fields(a):
        x, y = getattr(a, field.name), getattr(b, field.name)
        if isinstance(x, torch.Tensor):
            assert torch.equal(x, y), field.name
        elif field.name not in COSTS:
            assert x == y, field.name


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("lm", [TABLE, BROKEN], ids=["table", "broken"])
def test_batch_size_changes_nothing(lm, kind: str) -> None:
    decoder = DECODERS[kind](lm)
    whole = run(decoder)
    assert (lm is BROKEN) == ("error" in whole.finish_reason)
    for batch_size in (1, 2, 3, 4, 6, 7, 9, 99):
        assert_same(whole, run(decoder, batch_size=batch_size))
    ids = torch.zeros(3, 6, dtype=torch.int64)
    for row, prompt in zip(ids, PROMPTS, strict=True):
        row[-len(prompt) :] = torch.tensor(prompt)
    mask = torch.arange(6) >= 6 - torch.tensor([[len(p)] for p in PROMPTS])
    assert_same(whole, run(decoder, ids, attention_mask=mask, batch_size=np.int64(4)))
    # It compares something: draws differ, and so does another seed.
    texts = whole.completions()
    if kind not in ("greedy", "value"):
        assert run(decoder, seed=4).completions() != texts
        assert any(texts[i] != texts[i + 1] for i in (0, 1, 6, 7))


@pytest.mark.parametrize(("batch_size", "reads", "batches"), [(None, 1, 1), (4, 3, 3), (2, 3, 6)])
def test_costs_are_those_of_the_parts(batch_size: int | None, reads: int, batches: int) -> None:
    k, n, ahead, steps = 3, 2, 4, 5
    decoder = transfer(**SAMPLED)(OPEN)
    out = run(decoder, max_new_tokens=steps, batch_size=batch_size)
    assert out.model_forwards == reads + batches * steps * ahead
    assert out.reward_calls == batches * steps + 1  # the final strings together
    strings = len(PROMPTS) * DRAWS
    read = sum(map(len, PROMPTS))
    assert out.model_tokens == read + strings * steps * k * (1 + n * (ahead - 1))
    assert out.reward_items == strings * (steps * k * n + 1)


@pytest.mark.parametrize("kind", DECODERS)
@pytest.mark.parametrize("batch_size", [1, 2, 4, 7])
def test_rows_stay_within_the_batch_and_counters_are_the_truth(kind: str, batch_size: int) -> None:
    counting = Counting(TABLE)
    decoder = DECODERS[kind](counting)
    models = [counting]
    if decoder.sft is not None:
        decoder.sft = Counting(OPEN)
        models.append(decoder.sft)
    out = run(decoder, batch_size=batch_size)
    for lm in models:
        assert sum(lm.prompts) == len(PROMPTS)  # each is read once
        assert max(lm.prompts) <= max(1, batch_size // DRAWS)
    options = decoder.options
    each = decoder.n if isinstance(decoder, tq.BestOfN) else options.k * options.n_rollouts
    assert max(counting.steps) <= batch_size * each
    forwards = sum(len(lm.prompts) + len(lm.steps) for lm in models)
    tokens = sum(sum(lm.steps) + sum(map(len, PROMPTS)) for lm in models)
    assert (out.model_forwards, out.model_tokens) == (forwards, tokens)


@pytest.mark.parametrize("kind", ["sampled", "blocks", "drawn"])
@pytest.mark.parametrize("batch_size", [None, 1, 2, 4])
def test_progress_counts_every_string_to_its_cap(
    kind: str, batch_size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    class Bar:
        def update(self, n: int) -> None:
            seen.append(n)

        def close(self) -> None:
            assert sum(seen) == 6 * len(PROMPTS) * DRAWS
            seen.clear()

    monkeypatch.setattr(decoder, "token_bar", lambda what, total: seen.append(0) or Bar())
    for lm in (TABLE, BROKEN):
        run(DECODERS[kind](lm), progress=True, batch_size=batch_size)
        assert seen == []


def test_prompts_stay_together_where_their_draws_fit() -> None:
    def listed(*arguments):
        return [(s.start, s.stop, [b.tolist() for b in rows]) for s, rows in groups(*arguments)]

    assert listed(3, 2, None) == [(0, 3, [[0, 1, 2, 3, 4, 5]])]
    assert listed(3, 2, 5) == [(0, 2, [[0, 1, 2, 3]]), (2, 3, [[4, 5]])]
    assert listed(2, 3, 2) == [(0, 1, [[0, 1], [2]]), (1, 2, [[3, 4], [5]])]
