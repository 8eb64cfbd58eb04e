"""Best-of-n: the exact law against all draws, in rational arithmetic, and the closed forms."""

import itertools
import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mpmath import mp, mpf
from support.tilt_oracle import QUICK, doubles

from aligndec import best_of_n, tilting

INF = math.inf
sizes = st.integers(1, 4)
tied = st.lists(st.integers(0, 2), min_size=4, max_size=4)
weights = st.lists(st.integers(0, 9), min_size=4, max_size=4).filter(any)


def brute_force(p: list[Fraction], r: list[int], n: int, ties: str) -> list[Fraction]:
    """The law of the best of n draws: every sequence of draws by itself."""
    out = [Fraction(0)] * len(p)
    for draws in itertools.product(range(len(p)), repeat=n):
        chance = math.prod((p[i] for i in draws), start=Fraction(1))
        best = [i for i in draws if r[i] == max(r[j] for j in draws)]
        winners = best if ties == "uniform" else [min(best)]
        for i in winners:
            out[i] += chance / len(winners)
    return out


def real(x: Fraction) -> mpf:
    return mpf(x.numerator) / x.denominator


def divergence(q: list[Fraction], p: list[Fraction]) -> float:
    pairs = [(a, b) for a, b in zip(q, p, strict=True) if a > 0]
    return float(mp.fsum(real(a) * mp.log(real(a / b)) for a, b in pairs))


@QUICK
@given(w=weights, r=tied, n=sizes, ties=st.sampled_from(["uniform", "order"]))
def test_all_draws(w: list[int], r: list[int], n: int, ties: str) -> None:
    p = [Fraction(x, sum(w)) for x in w]
    exact = brute_force(p, r, n, ties)
    log_p, rewards = doubles(*w).log(), doubles(*r)
    ours = best_of_n.pmf(log_p, rewards, n, ties=ties).exp()
    assert ours.tolist() == pytest.approx([float(x) for x in exact], abs=1e-15, rel=1e-12)
    if ties == "order":
        return
    kl = best_of_n.kl(log_p, rewards, n).item()
    assert kl == pytest.approx(divergence(exact, p), rel=1e-12, abs=1e-15)
    wins = sum(
        a * b * (Fraction(r[i] > r[j]) + Fraction(r[i] == r[j], 2))
        for (i, a), (j, b) in itertools.product(enumerate(exact), enumerate(p))
    )
    assert best_of_n.win_rate(log_p, rewards, n).item() == pytest.approx(float(wins), rel=1e-12)
    assert kl <= best_of_n.kl_bound(n).item() + 1e-15
    assert wins <= Fraction(n, n + 1)


@pytest.mark.parametrize("n", [1e-3, 0.7, 1.0, 1.0 + 1e-9, 2.5, 64.0, 4.9e8, 1e12])
def test_any_real_n(n: float) -> None:
    """Against 60 digits, with levels of mass 1e-12 at the top and ties."""
    log_p = doubles(0.0, -1.0, -0.5, -27.0, -20.0, -27.5, -28.5, -13.0)
    r = doubles(0.0, 1.0, 1.0, 5.0, 4.0, 5.0, 7.0, 2.0)
    p = [mp.exp(mpf(x)) for x in log_p.tolist()]
    p = [x / mp.fsum(p) for x in p]
    exact, kl, wins = [], mpf(0), mpf(0)
    for i, value in enumerate(r.tolist()):
        level = mp.fsum(x for x, v in zip(p, r.tolist(), strict=True) if v == value)
        below = mp.fsum(x for x, v in zip(p, r.tolist(), strict=True) if v < value)
        best = (below + level) ** mpf(n) - below ** mpf(n)
        exact.append(p[i] / level * best)
        kl += exact[-1] * mp.log(best / level)
        wins += exact[-1] * (below + level / 2)
    ours = best_of_n.pmf(log_p, r, n)
    for a, b in zip(ours.tolist(), exact, strict=True):
        assert a == pytest.approx(float(mp.log(b)), rel=1e-11, abs=1e-11)
    assert ours.exp().sum().item() == pytest.approx(1.0, abs=1e-12)
    assert best_of_n.kl(log_p, r, n).item() == pytest.approx(float(kl), rel=1e-9, abs=1e-14)
    assert best_of_n.win_rate(log_p, r, n).item() == pytest.approx(float(wins), rel=1e-12)


def test_many_outcomes_without_ties() -> None:
    """No atom worth mentioning: the classical formulas."""
    r = torch.randn(200_000, dtype=torch.float64)
    for n in (2.0, 17.0, 300.0):
        assert best_of_n.kl(None, r, n).item() == pytest.approx(
            best_of_n.kl_bound(n).item(), rel=2e-3
        )
        assert best_of_n.win_rate(None, r, n).item() == pytest.approx(n / (n + 1), rel=1e-3)
    gap = best_of_n.kl_bound(8.0) - best_of_n.kl(None, r[:500], 8.0)
    assert 0 <= gap.item() <= 2 * 8 * 7 / 500


def test_pass_rates() -> None:
    """0/1 rewards: the classical formula is six times too large, and best-of-n is the optimum."""
    q, n = 0.9, 4.0
    log_p, r = doubles(0.1, 0.5, 0.4).log(), doubles(0.0, 1.0, 1.0)
    hit = 1 - (1 - q) ** n
    kl = hit * math.log(hit / q) + (1 - q) ** n * (n - 1) * math.log(1 - q)
    assert best_of_n.kl(log_p, r, n).item() == pytest.approx(kl, rel=1e-13)
    assert best_of_n.kl_bound(n).item() > 6 * kl
    beta = math.log(hit / q / ((1 - q) ** n / (1 - q)))
    assert torch.allclose(
        best_of_n.pmf(log_p, r, n), tilting.tilt(log_p, r, beta).log_q, rtol=1e-12
    )


def test_a_two_valued_reward_lies_on_the_frontier() -> None:
    log_p = torch.randn(5, 7, dtype=torch.float64)
    r = (torch.arange(7) % 2).double().expand(5, 7)
    law = best_of_n.pmf(log_p, r, 6.5)
    kl, reward = best_of_n.kl(log_p, r, 6.5), (law.exp() * r).sum(-1)
    gap = tilting.optimality_gap(log_p, r, kl, reward)
    assert gap.kl_gap.abs().max() < 1e-12
    assert gap.kl_to_optimal.abs().max() < 1e-12


def test_infinite_rewards_and_absent_outcomes() -> None:
    log_p, r = doubles(-INF, -1.0, -1.0, -2.0), doubles(INF, -INF, 3.0, INF)
    law = best_of_n.pmf(log_p, r, 3)
    assert law[0].item() == -INF
    assert law.exp().sum().item() == pytest.approx(1.0)
    finite = best_of_n.pmf(log_p, doubles(9.0, -5.0, 3.0, 8.0), 3)
    assert torch.equal(law, finite)
    assert best_of_n.pmf(doubles(0.0), doubles(1.0), 5).tolist() == [0.0]
    constant = best_of_n.pmf(log_p, torch.zeros(4), 1e9)
    assert constant.tolist() == pytest.approx(log_p.log_softmax(0).tolist())
    assert best_of_n.kl(log_p, torch.zeros(4), 1e9).item() == 0.0


def test_shapes() -> None:
    log_p, r = torch.randn(3, 1, 6), torch.randn(2, 6)
    assert best_of_n.pmf(log_p, r, torch.rand(5, 1, 1) + 1).shape == (5, 3, 2, 6)
    assert best_of_n.kl(None, r, 2).shape == (2,)
    assert best_of_n.win_rate(log_p[:0], r, 2).shape == (0, 2)
    one = best_of_n.kl(log_p[1, 0], r[1], 3.5)
    assert best_of_n.kl(log_p, r, 3.5)[1, 1].item() == pytest.approx(one.item(), rel=1e-14)


@pytest.mark.parametrize("n", [1.0, 1 + 1e-8, 1.5, 40.0, 1e12, 0.5])
def test_bound_and_its_inverse(n: float) -> None:
    exact = mp.log(mpf(n)) - (mpf(n) - 1) / mpf(n)
    assert best_of_n.kl_bound(n).item() == pytest.approx(float(exact), rel=1e-7, abs=1e-30)
    if n >= 1:
        assert best_of_n.n_for_kl(float(exact)).item() == pytest.approx(n, rel=1e-12)
    assert best_of_n.n_for_kl(1.0).item() == pytest.approx(6.3053953, rel=1e-7)
    assert best_of_n.n_for_kl(doubles(0.0, 1e-300)).tolist() == [1.0, 1.0]


def test_estimate_from_the_selected_outcome() -> None:
    n = doubles(1.0, 4.0, 64.0, 1e6)
    for log_p in (-0.05, -1.0, -12.0, -40.0):
        e = mp.exp(mpf(log_p))
        for value in n.tolist():
            m = mpf(value)
            miss = (1 - e) ** m
            exact = miss * (mp.log(m) + (m - 1) * mp.log(1 - e) - (m - 1) / m)
            exact += (1 - miss) * mp.log((1 - miss) / e)
            ours = best_of_n.kl_estimate(value, doubles(log_p)).item()
            assert ours == pytest.approx(float(exact), rel=1e-9, abs=1e-13)
    assert torch.equal(best_of_n.kl_estimate(n, doubles(-3000.0)), best_of_n.kl_bound(n))
    assert best_of_n.kl_estimate(n, doubles(0.0)).tolist() == [0.0] * 4
    # One atom at the top of a fine law: the exact divergence, not an estimate.
    r = torch.arange(100_001.0, dtype=torch.float64)
    law = torch.full((100_001,), math.log(0.7 / 1e5), dtype=torch.float64)
    law[-1] = math.log(0.3)
    exact = best_of_n.kl(law, r, 5.0).item()
    assert best_of_n.kl_estimate(5.0, law[-1:]).item() == pytest.approx(exact, rel=1e-3)


BAD = [
    (lambda: best_of_n.pmf(None, doubles(0.0, 1.0), 0), "pmf: n must be > 0 and finite, got 0"),
    (lambda: best_of_n.kl(None, doubles(0.0, 1.0), INF), "kl: n must be > 0"),
    (lambda: best_of_n.pmf(None, doubles(0.0, math.nan), 2), "pmf: r must be without NaN"),
    (lambda: best_of_n.pmf(None, doubles(0.0), 2, ties="x"), "pmf: ties must be"),
    (lambda: best_of_n.kl_bound(-1.0), "kl_bound: n must be > 0"),
    (lambda: best_of_n.n_for_kl(-1.0), "n_for_kl: kl must be >= 0"),
    (lambda: best_of_n.kl_estimate(2, doubles(0.1)), "kl_estimate: log_p_selected must be <= 0"),
    (lambda: best_of_n.kl_estimate(2, -1.0), "kl_estimate: log_p_selected must be a floating"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_refusals(call: object, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"^best_of_n\.{message}"):
        call()
