"""Penalties: equal to transformers' processors and to their definitions written out."""

import math

import pytest
import torch
from support.cases import INF, randn, rng
from torch import Tensor

import aligndec as ad
from aligndec import Penalties, penalties

transformers = pytest.importorskip("transformers")
VOCAB = 17


def rows(seed: int, batch: int = 6, length: int = 40) -> tuple[Tensor, Tensor]:
    x = randn(batch, VOCAB, seed)
    x[0, 3] = -INF
    return x, torch.randint(0, VOCAB // 3, (batch, length), generator=rng(seed))


def dense(bias: ad.LogitBias, x: Tensor) -> Tensor:
    z = x.clone()
    for row, (a, b) in enumerate(zip(bias.offsets, bias.offsets[1:], strict=False)):
        ids = bias.ids[a:b].long()
        assert ids.diff().gt(0).all()
        assert not bias.values[a:b].isnan().any()
        z[row, ids] += bias.values[a:b]
    return z


def assert_close(actual: Tensor, expected: Tensor, x: Tensor) -> None:
    """To one unit in the last place of the larger of the logit and the result."""
    assert torch.equal(actual.isinf(), expected.isinf())
    live = expected.isfinite()
    size = torch.maximum(x[live].abs(), expected[live].abs())
    ulp = torch.nextafter(size, torch.tensor(INF)) - size
    assert bool(((actual[live] - expected[live]).abs() <= ulp).all())


PROCESSORS = {
    "repetition": (
        {"repetition": 1.3},
        [transformers.RepetitionPenaltyLogitsProcessor(1.3)],
    ),
    "reward": ({"repetition": 0.8}, [transformers.RepetitionPenaltyLogitsProcessor(0.8)]),
    **{
        f"no_repeat_{n}": (
            {"no_repeat_ngram": n},
            [transformers.NoRepeatNGramLogitsProcessor(n)],
        )
        for n in (1, 2, 3, 45)
    },
    "logit_bias": (
        {"logit_bias": {2: 1.5, 7: -3.25, 9: -INF}},
        [transformers.SequenceBiasLogitsProcessor({(2,): 1.5, (7,): -3.25, (9,): -INF})],
    ),
    "all": (
        {"logit_bias": {2: 1.5, 7: -3.25}, "repetition": 1.2, "no_repeat_ngram": 2},
        [
            transformers.SequenceBiasLogitsProcessor({(2,): 1.5, (7,): -3.25}),
            transformers.RepetitionPenaltyLogitsProcessor(1.2),
            transformers.NoRepeatNGramLogitsProcessor(2),
        ],
    ),
}


@pytest.mark.parametrize("name", PROCESSORS)
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_equal_to_transformers(name: str, seed: int) -> None:
    fields, processors = PROCESSORS[name]
    x, history = rows(seed)
    expected = x.clone()
    for processor in processors:
        expected = processor(history, expected)
    assert_close(dense(penalties(x, history, **fields), x), expected, x)
    if name != "no_repeat_45":  # the control
        assert not torch.equal(expected, x)


@pytest.mark.parametrize("skip", [0, 35, "each"])
def test_frequency_and_presence(skip: int | str) -> None:
    x, history = rows(4)
    ignored = torch.tensor([0, 5, 38, 39, 40, 99]) if skip == "each" else skip
    z = dense(penalties(x, history, frequency=0.3, presence=0.7, ignore_prompt=ignored), x)
    expected = x.clone()
    for row in range(len(x)):
        first = int(ignored[row]) if skip == "each" else ignored
        for token in range(VOCAB):
            count = history[row, first:].tolist().count(token)
            expected[row, token] -= 0.3 * count + 0.7 * (count > 0)
    torch.testing.assert_close(z, expected, rtol=1e-6, atol=1e-6)


def dry_by_hand(history: list[int], dry: tuple[float, float, int, list[int]]) -> dict[int, float]:
    """The definition, as text-generation-webui walks through it."""
    multiplier, base, allowed, breakers = dry
    longest: dict[int, int] = {}
    if not history or history[-1] in breakers:
        return {}
    for i in range(len(history) - 1):
        after = history[i + 1]
        if history[i] != history[-1] or after in breakers:
            continue
        m = 1
        while m <= i and history[i - m] == history[-1 - m] and history[-1 - m] not in breakers:
            m += 1
        longest[after] = max(longest.get(after, 0), m)
    return {t: multiplier * base ** (m - allowed) for t, m in longest.items() if m >= allowed}


@pytest.mark.parametrize("allowed", [1, 2, 4])
@pytest.mark.parametrize("breakers", [[], [0, 5]])
def test_dry(allowed: int, breakers: list[int]) -> None:
    g = rng(allowed)
    listed = [torch.randint(0, 3, (n,), generator=g).tolist() for n in (0, 1, 2, *[60] * 25)]
    listed += [[1, 2, 3, 4, 5, 6] * 5, [7] * 50, [0, 1, 0, 1, 0]]
    x, dry = randn(len(listed), VOCAB, 9), (0.8, 1.75, allowed, breakers)
    z, seen = dense(penalties(x, listed, dry=dry), x), 0
    for row, history in enumerate(listed):
        expected = x[row].clone()
        for token, cost in dry_by_hand(history, dry).items():
            expected[token] -= cost
            seen += 1
        torch.testing.assert_close(z[row], expected, rtol=1e-6, atol=1e-6)
    assert seen >= 2


def test_a_very_long_repeat_is_finite() -> None:
    x = randn(1, VOCAB, 1)
    bias = penalties(x, [[4] * 3000], dry=(0.8, 1.75, 2, []))
    assert bias.ids.tolist() == [4]
    assert float(bias.values[0]) < -1e38
    assert math.isfinite(float(bias.values[0]))


def test_padding_and_lists_are_the_same() -> None:
    x, history = rows(5, batch=3)
    lists = [history[0].tolist(), history[1, :7].tolist(), []]
    left, right = (torch.full((3, 44), -1) for _ in range(2))
    for row, said in enumerate(lists):
        right[row, : len(said)] = torch.tensor(said, dtype=torch.int64)
        left[row, 44 - len(said) :] = torch.tensor(said, dtype=torch.int64)
    fields = {
        "repetition": 1.2,
        "frequency": 0.1,
        "no_repeat_ngram": 2,
        "dry": (1.0, 2.0, 1, [3]),
        "ignore_prompt": 3,
    }
    a, b, c = (penalties(x, h, **fields) for h in (lists, left, right))
    assert all(torch.equal(p, q) for p, q in zip(a, b, strict=True))
    assert all(torch.equal(p, q) for p, q in zip(a, c, strict=True))
    assert a.offsets[2] == a.offsets[3]


def test_nothing_asked_is_no_entry_and_minus_inf_has_none() -> None:
    x, history = rows(6)
    assert penalties(x, history).ids.numel() == 0
    x[:] = -INF
    bias = penalties(x, history, repetition=1.5, no_repeat_ngram=1, logit_bias={1: -INF})
    assert bias.ids.numel() == 0


@pytest.mark.usefixtures("backend")
def test_greedy_under_penalties_is_transformers() -> None:
    x, history = rows(7)
    processor = transformers.RepetitionPenaltyLogitsProcessor(4.0)
    bias = penalties(x, history, repetition=4.0)
    step = ad.sample(x, ad.Adaptor(temperature=0.0), bias=bias, positions=0)
    assert torch.equal(step.token, processor(history, x).argmax(1))


BAD = {
    "repetition": ({"repetition": 0.0}, "repetition must be > 0"),
    "presence": ({"presence": INF}, "presence must be finite"),
    "ngram": ({"no_repeat_ngram": -1}, "no_repeat_ngram must be >= 0, got -1"),
    "dry": ({"dry": (1.0, 2.0)}, "dry must be"),
    "dry base": ({"dry": (1.0, 0.5, 2, [])}, "base >= 1"),
    "bias": ({"logit_bias": {99: 1.0}}, r"ids in \[0, V\) = \[0, 17\), got 99"),
    "bias nan": ({"logit_bias": {1: math.nan}}, "finite or -inf, got nan"),
    "prompt": ({"ignore_prompt": -2}, "ignore_prompt must be >= 0, got -2"),
}


@pytest.mark.parametrize("name", BAD)
def test_refused(name: str) -> None:
    fields, message = BAD[name]
    with pytest.raises((ValueError, TypeError), match=message):
        penalties(*rows(1), **fields)
    with pytest.raises(ValueError, match=r"^penalties: history must be of ids in .*, got 17"):
        penalties(rows(1)[0], torch.full((6, 2), 17))
    assert Penalties() == Penalties(repetition=1.0)
