"""Best-of-n from pools: curves against all subsets, selections against their laws."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.oracle import chi_square_p
from support.tilt_oracle import QUICK, doubles
from torch import Tensor

from aligndec import best_of_n, rng, tilting

INF = math.inf
pool = st.lists(st.integers(-2, 2), min_size=1, max_size=6)


def all_subsets(select: list[float], gold: list[float], n: int) -> float:
    """Mean over every subset of size n, ties broken uniformly."""
    values = []
    for chosen in itertools.combinations(range(len(select)), n):
        top = max(select[i] for i in chosen)
        best = [gold[i] for i in chosen if select[i] == top]
        values.append(sum(best) / len(best))
    return sum(values) / len(values)


@QUICK
@given(select=pool, data=st.data())
def test_all_subsets(select: list[int], data: st.DataObject) -> None:
    size = len(select)
    gold = data.draw(st.lists(st.integers(-5, 5), min_size=size, max_size=size))
    grid = torch.arange(1, size + 1)
    plain = best_of_n.reward_curve(doubles(*select), grid)
    other = best_of_n.reward_curve(doubles(*select), grid, evaluate=doubles(*gold))
    for curve, values in ((plain, select), (other, gold)):
        expected = [all_subsets(select, values, n) for n in range(1, size + 1)]
        assert curve.per_prompt.tolist() == pytest.approx(expected, abs=1e-13)


def test_curve_over_prompts() -> None:
    r = torch.randn(6, 40)
    c = best_of_n.reward_curve(r, torch.tensor([1, 3, 40]))
    assert c.per_prompt.shape == (6, 3)
    assert c.mean.tolist() == pytest.approx(c.per_prompt.mean(0).tolist())
    se = c.per_prompt.std(0) / math.sqrt(6)
    assert c.se.tolist() == pytest.approx(se.tolist())
    assert c.per_prompt[:, 0].tolist() == pytest.approx(r.double().mean(1).tolist())
    assert c.per_prompt[:, 2].tolist() == pytest.approx(r.double().amax(1).tolist())
    assert best_of_n.reward_curve(r, 5).mean.shape == (1,)
    assert best_of_n.reward_curve(r[0], 5).se.isnan().all()
    assert best_of_n.reward_curve(r.view(2, 3, 40), 5).per_prompt.shape == (2, 3, 1)


def test_plugin_is_best_of_n_of_the_empirical_law() -> None:
    r = torch.randn(4, 9, dtype=torch.float64).round()
    grid = doubles(0.5, 2.0, 7.25, 100.0)
    ours = best_of_n.reward_curve(r, grid, estimator="plugin").per_prompt
    law = best_of_n.pmf(None, r[:, None], grid).exp()
    assert torch.allclose(ours, (law * r[:, None]).sum(-1))
    unbiased = best_of_n.reward_curve(r, torch.tensor([2])).per_prompt
    assert (ours[:, 1:2] <= unbiased + 1e-12).all()


def test_curve_with_rewards_of_minus_infinity() -> None:
    c = best_of_n.reward_curve(doubles(-INF, 1.0, 2.0), torch.tensor([1, 2, 3])).mean
    assert c.tolist() == [-INF, pytest.approx(5 / 3), 2.0]


def p_value(index: Tensor, law: Tensor) -> float:
    """Chi-square over independent pools, one draw each; impossible outcomes count as a miss."""
    return chi_square_p(torch.bincount(index, minlength=len(law)), law)


POOL = doubles(0.3, 2.0, -1.0, 2.0, -INF, 1.0, 2.0)
POOLS = POOL.expand(40_000, 7)


@pytest.mark.statistical
def test_laws_of_the_selections() -> None:
    third = doubles(0, 1, 0, 1, 0, 0, 1) / 3
    index = best_of_n.select(POOLS, seed=1)
    assert p_value(index, third) > 1e-6
    assert p_value(index, doubles(0, 1, 0, 1, 0, 0, 1.2) / 3.2) < 1e-6, "negative control"
    assert p_value(best_of_n.select(POOLS, n=5, seed=2), doubles(0, 1, 0, 1, 0, 0, 0) / 2) > 1e-6

    soft = best_of_n.soft_select(POOLS, 0.8, seed=3)
    law = tilting.tilt(None, POOL, 0.8).log_q.exp()
    assert p_value(soft, law) > 1e-6
    assert p_value(soft, tilting.tilt(None, POOL, 1 / 0.8).log_q.exp()) < 1e-6, "kl_coef as beta"

    # The best of the first k, k = 1 + Poisson(1.5), at most 7.
    mass = [math.exp(-1.5) * 1.5**k / math.factorial(k) for k in range(6)]
    mass.append(1 - sum(mass))
    law = torch.zeros(7, dtype=torch.float64)
    for k, chance in enumerate(mass, 1):
        best = POOL[:k] == POOL[:k].max()
        law[:k] += chance * best / best.sum()
    index = best_of_n.poisson_select(POOLS, 1.5, seed=4)
    assert p_value(index, law) > 1e-6
    assert p_value(best_of_n.poisson_select(POOLS, 1.6, seed=4), law) < 1e-6, "negative control"

    accept = (0.8 * (POOL - 2.5)).exp()
    miss = torch.cat([torch.ones(1).double(), (1 - accept).cumprod(0)])
    law = torch.cat([miss[-1:], accept * miss[:-1]])
    index = best_of_n.rejection_select(POOLS, 0.8, 2.5, seed=5) + 1
    assert p_value(index, law) > 1e-6
    assert p_value(best_of_n.rejection_select(POOLS, 0.8, 2.4, seed=5) + 1, law) < 1e-6


def test_random_numbers_are_those_of_the_scheme() -> None:
    pools = torch.randn(2, 3, 8, dtype=torch.float64)
    u = rng.uniform(rng.philox(11, torch.arange(6), 0, rng.RESCORE)[0]).view(2, 3)
    cdf = (pools * 2).softmax(-1).cumsum(-1)
    assert torch.equal(best_of_n.soft_select(pools, 2.0, seed=11), (cdf <= u[..., None]).sum(-1))
    u = rng.uniform(rng.philox(11, torch.arange(6)[:, None], torch.arange(8), rng.REJECTION)[0])
    accepted = u.view(2, 3, 8) < (pools - 3.0).exp()
    first = torch.where(accepted.any(-1), accepted.int().argmax(-1), -1)
    assert torch.equal(best_of_n.rejection_select(pools, 1.0, 3.0, seed=11), first)
    flat = torch.zeros(2, 3, 8)
    u = rng.uniform(rng.philox(11, torch.arange(6), 0, rng.RESCORE)[0]).view(2, 3)
    assert torch.equal(best_of_n.select(flat, seed=11), (u * 8).long())
    assert torch.equal(best_of_n.select(pools), pools.argmax(-1))


def test_edges_of_the_selections() -> None:
    dead = torch.full((5, 3), -INF)
    assert set(best_of_n.select(dead.expand(5, 3)).tolist()) <= {0, 1, 2}
    assert best_of_n.select(torch.zeros(0, 4)).shape == (0,)
    assert best_of_n.poisson_select(POOLS[:9], 0.0).eq(0).all()
    assert best_of_n.rejection_select(dead, 1.0, 0.0).eq(-1).all()
    assert best_of_n.rejection_select(dead, 0.0, 0.0).eq(0).all()
    assert best_of_n.soft_select(POOLS[:50], 1e9).eq(best_of_n.soft_select(POOLS[:50], 1e6)).all()


BAD = [
    (lambda: best_of_n.reward_curve(POOL, 8), "reward_curve: n must be an integer <= M = 7"),
    (lambda: best_of_n.reward_curve(POOL, 1.5), "reward_curve: n must be an integer"),
    (lambda: best_of_n.reward_curve(POOL, 0), "reward_curve: n must be > 0"),
    (lambda: best_of_n.reward_curve(POOL, 1, estimator="x"), "reward_curve: estimator must be"),
    (lambda: best_of_n.reward_curve(POOL, 1, evaluate=POOL[1:]), "reward_curve: evaluate must be"),
    (lambda: best_of_n.reward_curve(doubles(math.nan), 1), "reward_curve: select must be without"),
    (lambda: best_of_n.select(doubles(0.0, math.nan)), r"select: rewards must be .* at \[1\]"),
    (lambda: best_of_n.select(POOL, n=8), r"select: n must be in \[1, M = 7\], got 8"),
    (lambda: best_of_n.select(POOL, n=True), "select: n must be an int"),
    (lambda: best_of_n.select(POOL, seed=0.5), "select: seed must be an int"),
    (lambda: best_of_n.soft_select(POOL, INF), "soft_select: beta must be finite"),
    (lambda: best_of_n.soft_select(POOL, -1.0), "soft_select: rewards must be such"),
    (lambda: best_of_n.poisson_select(POOL, -1.0), "poisson_select: mu must be >= 0"),
    (lambda: best_of_n.poisson_select(POOL, doubles(1, 2)), "poisson_select: mu must broadcast"),
    (lambda: best_of_n.rejection_select(POOL, 1.0, 1.0), "rejection_select: rewards must be <= b"),
    (lambda: best_of_n.rejection_select(POOL, -1.0, 9.0), "rejection_select: beta must be >= 0"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_refusals(call: object, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"^best_of_n\.{message}"):
        call()


def test_short_pools_are_filled_up_with_what_is_never_chosen() -> None:
    size = torch.randint(1, 9, (300,))
    inside = torch.arange(8) < size[:, None]
    r = torch.where(inside, torch.randn(300, 8).double().round(), -INF)
    filled = torch.cat([r, torch.full((300, 5), -INF, dtype=torch.float64)], 1)
    for selector in (
        best_of_n.select,
        lambda x: best_of_n.soft_select(x, 0.7),
        lambda x: best_of_n.poisson_select(x, 2.5),
        lambda x: best_of_n.rejection_select(x, 0.7, 4.0),
    ):
        chosen = selector(r)
        assert torch.equal(chosen, selector(filled))
        assert (chosen < size).all()
        assert chosen.unique().numel() > 5
