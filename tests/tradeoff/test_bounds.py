"""Entropies and bounds against hand-computed and exact values; the secret reward; corpora."""

import math

import pytest
import torch

from aligndec import tradeoff

COIN = torch.tensor([0.25, 0.75]).double().log()
INF = math.inf


def test_entropies_by_hand() -> None:
    law = torch.tensor([0.5, 0.25, 0.25, 0.0]).double().log()
    assert float(tradeoff.renyi_entropy(law, 0)) == pytest.approx(math.log(3))
    assert float(tradeoff.renyi_entropy(law, 1)) == pytest.approx(1.5 * math.log(2))
    assert float(tradeoff.renyi_entropy(law, 2)) == pytest.approx(-math.log(0.375))
    assert float(tradeoff.renyi_entropy(law, INF)) == pytest.approx(math.log(2))
    assert float(tradeoff.varentropy(law)) == pytest.approx(0.25 * math.log(2) ** 2)


def test_entropies_do_not_depend_on_a_constant_and_batch() -> None:
    logits = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(0))
    for alpha in (0.0, 0.3, 1.0, 1.0005, 4.0, INF):
        whole = tradeoff.renyi_entropy(logits, alpha)
        assert whole.shape == (2, 3)
        torch.testing.assert_close(
            whole, tradeoff.renyi_entropy(logits + 5, alpha), atol=1e-6, rtol=0
        )
        torch.testing.assert_close(whole[1, 2], tradeoff.renyi_entropy(logits[1, 2], alpha))


def test_entropies_are_smooth_and_fall_with_the_order() -> None:
    law = torch.tensor([0.7, 0.2, 0.1, 0.0]).double().log()
    orders = [0.0, 0.5, 0.9, 0.9991, 1 - 1e-9, 1.0, 1 + 1e-9, 1.0009, 1.1, 2.0, 50.0, INF]
    values = [float(tradeoff.renyi_entropy(law, a)) for a in orders]
    assert values == sorted(values, reverse=True)
    # dH/dα at 1 is −V/2; a formula that cancels would be off by 1e-7 here.
    slope = (values[6] - values[4]) / 2e-9
    assert slope == pytest.approx(-float(tradeoff.varentropy(law)) / 2, rel=1e-4)
    inside, outside = (
        float(tradeoff.renyi_entropy(law, 1 + d)) for d in (0.999999e-3, 1.000001e-3)
    )
    assert inside == pytest.approx(outside, abs=1e-8)


def exact_tail(p: float, n: int, eps: float) -> float:
    """P(|mean information − H| >= eps) for n flips of a coin."""
    info = (-math.log(p), -math.log1p(-p))
    h = p * info[0] + (1 - p) * info[1]
    return sum(
        math.comb(n, k) * p**k * (1 - p) ** (n - k)
        for k in range(n + 1)
        if abs((k * info[0] + (n - k) * info[1]) / n - h) >= eps
    )


@pytest.mark.parametrize("eps", [0.05, 0.1, 0.2])
def test_bounds_hold_and_chernoff_has_the_exact_rate(eps: float) -> None:
    variance = float(tradeoff.varentropy(COIN))
    gaps = []
    for n in (10, 100, 1000):
        exact = exact_tail(0.25, n, eps)
        chernoff = float(tradeoff.chernoff_bound(COIN, n, eps))
        assert exact <= chernoff <= 1.0
        assert exact <= float(tradeoff.chebyshev_bound(variance, n, eps))
        gaps.append((math.log(chernoff) - math.log(exact)) / n)
    assert abs(gaps[-1]) < 0.005
    # Control: half the optimal exponent is not the rate.
    assert abs(0.5 * math.log(chernoff) - math.log(exact)) / n > abs(gaps[-1])


def test_chernoff_is_the_optimum_over_all_exponents() -> None:
    law = torch.randn(3, 40, generator=torch.Generator().manual_seed(1)).double().log_softmax(-1)
    eps, n = torch.tensor([0.05, 0.1, 0.3]).double(), 50.0
    s = torch.linspace(0.0, 8.0, 40_001, dtype=torch.float64)
    for row, e in zip(law, eps, strict=True):
        h = float(tradeoff.renyi_entropy(row, 1))
        total = 0.0
        for side in (-1.0, 1.0):
            cgf = (row + s[:, None] * side * row).logsumexp(-1)
            total += float((-n * (s * (e - side * h) - cgf).max()).exp())
        assert float(tradeoff.chernoff_bound(row, n, e)) == pytest.approx(min(1.0, total), rel=1e-6)
    assert tradeoff.chernoff_bound(law, n, eps).shape == (3,)
    assert tradeoff.chernoff_bound(law[0], torch.tensor([1.0, 10.0]), 0.1).shape == (2,)


def test_chernoff_at_the_ends() -> None:
    info = -COIN
    h = float((COIN.exp() * info).sum())
    # Beyond the largest information of all, that side cannot occur at all.
    beyond = float(info.max()) - h + 0.1
    assert float(tradeoff.chernoff_bound(COIN, 10, beyond)) == 0.0
    # At the largest information the exponent is its own information: P = p_min^n.
    at = float(tradeoff.chernoff_bound(COIN, 10, float(info.max()) - h))
    assert at == pytest.approx(0.25**10, rel=1e-6)
    assert float(tradeoff.chernoff_bound(torch.zeros(4), 1, 0.1)) == 0.0  # no spread at all
    assert float(tradeoff.chernoff_bound(COIN, 1, 1e-9)) == 1.0


def test_the_published_bounds_are_vacuous_for_the_toy() -> None:
    laws = tradeoff.toy()
    assert float(laws.varentropy / (1e5 * 0.001**2)) == pytest.approx(14.2, abs=0.05)
    assert float(tradeoff.chebyshev_bound(laws.varentropy, 1e5, 0.001)) == 1.0
    assert tradeoff.chebyshev_bound(1.0, torch.tensor([1.0, 100.0]), 0.5).tolist() == [1.0, 0.04]


def test_secret_reward_has_the_sign_of_a_divergence() -> None:
    prior = torch.tensor([0.5, 0.3, 0.2]).double().log()
    r, beta = torch.tensor([1.0, -1.0, 0.5]).double(), 0.5
    aligned = (prior + r / beta).log_softmax(0)
    secret = tradeoff.secret_reward(aligned, prior, beta)
    torch.testing.assert_close(secret - secret[0], r - r[0])
    kl = float((aligned.exp() * (aligned - prior)).sum())
    assert float((aligned.exp() * secret).sum()) == pytest.approx(beta * kl)
    assert kl > 0
    assert float(tradeoff.secret_reward(0.1, 0.0)) == 0.1  # no detour through float32
    assert tradeoff.secret_reward(torch.tensor([-INF]), torch.tensor([-1.0])).tolist() == [-INF]


def test_typical_mask() -> None:
    mean = torch.tensor([-1.0, -1.25, -1.5, -INF])
    assert tradeoff.typical_mask(mean, 1.25, 0.25).tolist() == [False, True, False, False]


@pytest.mark.statistical
def test_corpora_are_multinomial() -> None:
    """Counts against the binomial law of one cell; a wrong share of the cell must be noticed."""
    n, size, cell = 5, 12, 2
    means = tradeoff.bootstrap_corpora(torch.eye(n), n_corpora=20_000, corpus_size=size, seed=3)
    counts = (means * size).round()
    assert bool((counts.sum(1) == size).all())
    seen = counts[:, cell].long().bincount(minlength=size + 1).double()

    def chi_square(share: float) -> float:
        p = [math.comb(size, k) * share**k * (1 - share) ** (size - k) for k in range(size + 1)]
        few = torch.tensor(p).double() * len(counts)
        expected = torch.cat([few[:8], few[8:].sum()[None]])
        found = torch.cat([seen[:8], seen[8:].sum()[None]])
        return float(((found - expected) ** 2 / expected).sum())

    assert chi_square(1 / n) < 26.1  # 8 degrees of freedom, p = 0.001
    assert chi_square(1 / n * 1.05) > 26.1


def test_corpora_are_reproducible_by_prefix() -> None:
    values = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    options = {"corpus_size": 40, "seed": -1}
    many = tradeoff.bootstrap_corpora(values, n_corpora=9, **options)
    few = tradeoff.bootstrap_corpora(values, n_corpora=4, **options)
    assert many.dtype == torch.float64
    assert torch.equal(many[:4], few)
    assert not torch.equal(many[0], many[1])
    other = tradeoff.bootstrap_corpora(values, n_corpora=4, corpus_size=40, seed=2**64 - 2)
    assert not torch.equal(few, other)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: tradeoff.renyi_entropy(COIN, -0.5), "alpha must be >= 0, got -0.5"),
        (lambda: tradeoff.renyi_entropy(COIN, math.nan), "alpha must be >= 0, got nan"),
        (lambda: tradeoff.renyi_entropy(torch.full((2,), -INF), 1), "finite somewhere"),
        (lambda: tradeoff.renyi_entropy(torch.tensor([0.0, math.nan]), 1), r"got nan at \[1\]"),
        (lambda: tradeoff.varentropy(torch.zeros(2, 0)), r"\[..., K\] with K >= 1"),
        (lambda: tradeoff.chebyshev_bound(-1.0, 1, 1), "var must be >= 0, got -1.0"),
        (lambda: tradeoff.chebyshev_bound(1.0, 0, 1), r"n must be > 0 and finite, got 0.0"),
        (lambda: tradeoff.chernoff_bound(COIN, 1, 0.0), r"eps must be > 0 and finite, got 0.0"),
        (lambda: tradeoff.typical_mask(COIN, 1.0, 0.0), "epsilon must be > 0, got 0.0"),
        (
            lambda: tradeoff.typical_mask(torch.tensor([[math.nan]]), 1.0, 1.0),
            r"got nan at \[0, 0\]",
        ),
        (
            lambda: tradeoff.secret_reward(COIN, torch.tensor([0.0, -INF])),
            "log_prior must be finite, got -inf",
        ),
        (lambda: tradeoff.secret_reward(COIN, COIN, 0.0), "beta must be > 0, got 0.0"),
        (
            lambda: tradeoff.bootstrap_corpora(torch.zeros(2), n_corpora=1, corpus_size=1),
            r"values must be \[:, :\], got \[2\]",
        ),
        (
            lambda: tradeoff.bootstrap_corpora(torch.zeros(2, 1), n_corpora=1, corpus_size=0),
            "corpus_size must be >= 1, got 0",
        ),
    ],
)
def test_errors(call, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call()
