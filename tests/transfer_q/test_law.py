"""The law of `TransferQ.generate` with N rollouts against enumeration, with negative controls."""

import functools
import itertools
import math

import pytest
import torch
from support.tq_oracle import TOYS, Text, Toy, p_value

from aligndec import transfer_q as tq

pytestmark = pytest.mark.statistical

LEVEL = 1e-6
DRAWS = 12_000
ALPHA = 0.5
NAMES = ["with end", "without end"]


def log_mean_exp(values: list[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(v - top) for v in values) / len(values))


def direct(toy: Toy, s: Text, z: int, outcomes: list[Text]) -> float:
    return sum(toy.reward[y] for y in outcomes) / len(outcomes)


def gain(toy: Toy, y: Text) -> float:
    return (toy.reward[y] - toy.baseline_reward[y]) / toy.beta


def indirect(toy: Toy, s: Text, z: int, outcomes: list[Text]) -> float:
    weights = [math.exp(gain(toy, y)) for y in outcomes]
    pairs = zip(weights, outcomes, strict=True)
    return sum(w * toy.reward[y] for w, y in pairs) / sum(weights)


def soft(toy: Toy, s: Text, z: int, outcomes: list[Text]) -> float:
    return toy.beta * log_mean_exp([gain(toy, y) for y in outcomes])


def secret(toy: Toy, s: Text, z: int, outcomes: list[Text]) -> list[float]:
    """ℓ of the outcomes, from the densities of the two models along the rollouts."""
    at = len(s) + 1

    def density(policy: dict, y: Text) -> float:
        return sum(float(policy[y[:t]][y[t]]) for t in range(at, len(y)))

    return [
        toy.reward[y] / toy.beta - (density(toy.baseline, y) - density(toy.sft, y))
        for y in outcomes
    ]


def secret_indirect(toy: Toy, s: Text, z: int, outcomes: list[Text]) -> float:
    weights = [math.exp(x) for x in secret(toy, s, z, outcomes)]
    pairs = zip(weights, outcomes, strict=True)
    return sum(w * toy.reward[y] for w, y in pairs) / sum(weights)


def secret_soft(toy: Toy, s: Text, z: int, outcomes: list[Text]) -> float:
    return toy.beta * log_mean_exp(secret(toy, s, z, outcomes))


def secret_soft_on_baseline(toy: Toy, s: Text, z: int, outcomes: list[Text]) -> float:
    first = float(toy.baseline[s][z] - toy.sft[s][z])
    return toy.beta * (log_mean_exp(secret(toy, s, z, outcomes)) - first)


# What the estimators above must not be confused with.
def unnormalised(toy: Toy, s: Text, z: int, outcomes: list[Text]) -> float:
    return sum(math.exp(gain(toy, y)) * toy.reward[y] for y in outcomes) / len(outcomes)


def prompt_level(toy: Toy, s: Text, z: int, outcomes: list[Text]) -> float:
    log_z = toy.log_mean_exp(toy.sft, (), toy.reward)
    log_z -= toy.log_mean_exp(toy.sft, (), toy.baseline_reward)
    return unnormalised(toy, s, z, outcomes) / math.exp(log_z)


ESTIMATES = {
    "direct": (direct, {}),
    "indirect": (indirect, {"mode": "indirect"}),
    "soft": (soft, {"mode": "soft"}),
    "secret indirect": (secret_indirect, {"mode": "indirect", "sft": True}),
    "secret soft, sft": (secret_soft, {"mode": "soft", "sft": True, "reference": "sft"}),
    "secret soft, baseline": (secret_soft_on_baseline, {"mode": "soft", "sft": True}),
    "direct, sft": (direct, {"sft": True, "reference": "sft"}),
}


@functools.cache
def law(toy: Toy, estimate, reference: str = "baseline", n: int = 2) -> torch.Tensor:
    base = toy.sft if reference == "sft" else toy.baseline

    def bound(s: Text, z: int, outcomes: list[Text]) -> float:
        return estimate(toy, s, z, outcomes)

    policy = {s: toy.decision(s, n, ALPHA, bound, base) for s in toy.prefixes}
    out = toy.string_law(policy)
    assert float(out.sum()) == pytest.approx(1.0, abs=1e-9)
    return out


def draw(toy: Toy, *, sft: bool = False, **options):
    if options.get("mode", "direct") != "direct":
        options["beta"] = toy.beta
        if not sft:
            options["baseline_reward"] = toy.as_reward(toy.baseline_reward)
    if sft:
        options["sft"] = toy.lm(toy.sft)
    decoder = tq.TransferQ(
        toy.lm(toy.baseline),
        toy.as_reward(toy.reward),
        **{"k": toy.vocab, "alpha": ALPHA, "n_rollouts": 2, "rollout": "sample", **options},
        rollout_tokens=toy.length - 1,
    )
    return decoder.generate(
        [[1]], max_new_tokens=toy.length, num_return_sequences=DRAWS, seed=options.get("k", 5)
    )


@pytest.mark.parametrize("kind", ESTIMATES)
@pytest.mark.parametrize("name", NAMES)
def test_strings_follow_the_enumerated_law(name: str, kind: str) -> None:
    toy, (estimate, options) = TOYS[name], ESTIMATES[kind]
    expected = law(toy, estimate, options.get("reference", "baseline"))
    out = draw(toy, **options)
    assert p_value(toy.cells(out), expected) > LEVEL


@pytest.fixture(scope="module", params=NAMES)
def indirect_draws(request: pytest.FixtureRequest) -> tuple[Toy, torch.Tensor]:
    toy = TOYS[request.param]
    return toy, toy.cells(draw(toy, mode="indirect"))


@pytest.mark.parametrize("wrong", [direct, unnormalised, prompt_level, soft])
def test_negative_control_other_weights(indirect_draws, wrong) -> None:
    toy, cells = indirect_draws
    assert p_value(cells, law(toy, indirect)) > LEVEL
    assert p_value(cells, law(toy, wrong)) < LEVEL


def test_negative_control_wrong_reference(indirect_draws) -> None:
    toy, cells = indirect_draws
    assert p_value(cells, law(toy, indirect, "sft")) < LEVEL


def test_negative_control_one_rollout_less() -> None:
    toy = TOYS["with end"]
    cells = toy.cells(draw(toy))
    assert p_value(cells, law(toy, direct)) > LEVEL
    assert p_value(cells, law(toy, direct, n=1)) < LEVEL


@pytest.mark.parametrize("name", NAMES)
def test_drawn_candidates(name: str) -> None:
    """Two draws with replacement: their set is what is chosen from."""
    toy = TOYS[name]

    def decision(s: Text, count: int) -> torch.Tensor:
        base, out = toy.baseline[s].exp(), torch.zeros(toy.vocab, dtype=torch.float64)
        for drawn in itertools.product(range(toy.vocab), repeat=count):
            chosen = sorted(set(drawn))
            values = []
            for z in chosen:
                ways = toy.continuations(toy.baseline, (*s, z))
                values.append([(math.exp(p), toy.reward[y]) for p, y in ways])
            weights = _mean_softmax([float(toy.baseline[s][z]) for z in chosen], values)
            for z, w in zip(chosen, weights, strict=True):
                out[z] += math.prod(float(base[y]) for y in drawn) * w
        return out

    cells = toy.cells(draw(toy, candidates="sample", k=2, n_rollouts=1))
    laws = [toy.string_law({s: decision(s, n) for s in toy.prefixes}) for n in (1, 2)]
    assert p_value(cells, laws[1]) > LEVEL
    assert p_value(cells, laws[0]) < LEVEL  # one draw is the baseline itself


def _mean_softmax(log_p: list[float], values: list[list[tuple[float, float]]]) -> list[float]:
    """Mean of softmax(log_p + r/α) over one independent outcome of each candidate."""
    if len(log_p) == 1:
        return [1.0]
    total = [0.0, 0.0]
    for p, r in values[0]:
        for q, x in values[1]:
            gap = (log_p[1] - log_p[0]) + (x - r) / ALPHA
            share = 1 / (1 + math.exp(gap))
            total[0] += p * q * share
            total[1] += p * q * (1 - share)
    return total
