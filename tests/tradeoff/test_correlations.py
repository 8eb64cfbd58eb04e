"""Correlations by hand, at every level, and their bootstrap intervals."""

import math

import pytest
import torch

from aligndec.tradeoff import bootstrap_corpora, correlation_intervals, correlations

X = torch.tensor([1.0, 2.0, 3.0, 4.0])
Y = torch.tensor([1.0, 3.0, 2.0, 4.0])


def test_by_hand() -> None:
    found = correlations(X, Y)
    assert found.string == pytest.approx((0.8, 0.8))
    assert found.within == (found.string,)
    assert found.pooled == pytest.approx(found.string)
    assert all(math.isnan(value) for value in found.between)
    cubes = correlations(X, X**3).string
    assert cubes.spearman == pytest.approx(1.0)
    assert cubes.pearson == pytest.approx(0.951369, abs=1e-6)


def test_ties_share_their_mean_rank() -> None:
    # Ranks 1.5 1.5 3 4 and 1 2.5 2.5 4.
    found = correlations(torch.tensor([5.0, 5.0, 7.0, 9.0]), torch.tensor([0.0, 1.0, 1.0, 8.0]))
    assert found.string.spearman == pytest.approx(3.75 / 4.5)


def test_groups_are_ranked_by_themselves() -> None:
    """All schemes at once agree with each one alone, ties included."""
    generator = torch.Generator().manual_seed(3)
    x, y = torch.randint(6, (2, 90), generator=generator).double()
    label = torch.randint(4, (90,), generator=generator)
    found = correlations(x, y, label)
    for number, pair in enumerate(found.within):
        rows = label == number
        assert pair == pytest.approx(correlations(x[rows], y[rows]).string)


def three_schemes() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Rising inside each scheme, falling between them; labels neither sorted nor contiguous."""
    x = torch.tensor([0.0, 1.0, 2.0, 10.0, 11.0, 12.0, 20.0, 21.0, 22.0])
    y = torch.tensor([20.0, 21.0, 22.0, 10.0, 11.0, 12.0, 0.0, 1.0, 2.0])
    label = torch.tensor([7, 7, 7, 3, 3, 3, 5, 5, 5])
    mixed = torch.tensor([8, 0, 3, 6, 1, 4, 7, 2, 5])
    return x[mixed], y[mixed], label[mixed]


def test_levels_differ() -> None:
    """Simpson's reversal: what holds inside schemes is not what holds between them."""
    found = correlations(*three_schemes())
    assert len(found.within) == 3
    for pair in (*found.within, found.pooled):
        assert pair == pytest.approx((1.0, 1.0))
    assert found.between == pytest.approx((-1.0, -1.0))
    assert found.string.pearson < -0.9


def test_labels_ascend_and_schemes_count_once() -> None:
    x = torch.tensor([1.0, 2.0, 4.0, 0.0, 1.0])
    y = torch.tensor([1.0, 2.0, 3.0, 5.0, 4.0])
    label = torch.tensor([9, 9, 9, 2, 2])
    found = correlations(x, y, label)
    assert found.within[0].pearson == pytest.approx(-1.0)  # label 2
    assert found.within[1].pearson == pytest.approx(correlations(x[:3], y[:3]).string.pearson)
    assert found.between.pearson == pytest.approx(-1.0)  # centres (7/3, 2) and (1/2, 9/2)
    deviation = (torch.tensor([-4.0, -1, 5, -1.5, 1.5]), torch.tensor([-1.0, 0, 1, 0.5, -0.5]))
    dx, dy = deviation[0] / torch.tensor([3.0, 3, 3, 3, 3]), deviation[1]
    pooled = float((dx @ dy) / (dx.norm() * dy.norm()))
    assert found.pooled.pearson == pytest.approx(pooled)


def test_constants_have_no_correlation() -> None:
    tenth = torch.full((7,), 0.1)  # its mean is not 0.1
    found = correlations(tenth, torch.arange(7.0))
    assert all(math.isnan(v) for v in found.string)
    label = torch.tensor([0, 0, 0, 0, 1, 1, 1])
    steps = torch.where(label == 0, 0.1, 0.7)
    assert all(math.isnan(v) for v in correlations(steps, torch.arange(7.0), label).pooled)


def test_length_is_a_covariate() -> None:
    generator = torch.Generator().manual_seed(0)
    length = torch.randint(5, 60, (4000,), generator=generator).double()
    noise = torch.randn(2, 4000, generator=generator, dtype=torch.float64)
    log_prior, reward = -2.0 * length + noise[0], 0.1 * length + 0.1 * noise[1]
    assert correlations(log_prior, reward).string.pearson < -0.95
    held = correlations(log_prior, reward, length=length, adjust="length").string
    rate = correlations(log_prior, reward, length=length, adjust="per_token").string
    assert abs(held.pearson) < 0.05
    assert abs(rate.pearson) < 0.1
    # The partial coefficient from the three plain ones.
    xy, xz, yz = (
        correlations(a, b).string.pearson
        for a, b in ((log_prior, reward), (log_prior, length), (reward, length))
    )
    partial = (xy - xz * yz) / math.sqrt((1 - xz**2) * (1 - yz**2))
    assert held.pearson == pytest.approx(partial, abs=1e-9)
    explained = correlations(length, reward, length=length, adjust="length").string
    assert math.isnan(explained.pearson)
    fixed = correlations(log_prior, reward, length=torch.ones(4000), adjust="length")
    assert fixed.string == correlations(log_prior, reward).string


def test_a_perfect_correlation_has_an_interval() -> None:
    interval = correlation_intervals(X, 2 * X, n_bootstrap=20).string
    torch.testing.assert_close(interval, torch.ones(2, 2).double(), atol=1e-6, rtol=0)


def normal(n: int, rho: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    z = torch.randn(2, n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return z[0], rho * z[0] + math.sqrt(1 - rho**2) * z[1]


@pytest.mark.statistical
def test_intervals_cover_what_they_should() -> None:
    """90 % intervals of rho = 0.5; intervals of half the width must cover visibly less."""
    hits, narrow = 0, 0
    for seed in range(40):
        x, y = normal(60, 0.5, seed)
        low, high = correlation_intervals(x, y, n_bootstrap=50, level=0.9, seed=seed).string[0]
        hits += bool(low <= 0.5 <= high)
        quarter = (high - low) / 4
        narrow += bool(low + quarter <= 0.5 <= high - quarter)
    assert hits >= 29
    assert narrow < 29


def test_intervals_shrink_with_the_pool_and_know_every_level() -> None:
    x, y = normal(400, 0.5, 1)
    label = torch.arange(400) % 4
    y = y + label
    wide = correlation_intervals(x[:100], y[:100], label[:100], n_bootstrap=100)
    found = correlation_intervals(x, y, label, n_bootstrap=100)
    assert found.within.shape == (4, 2, 2)
    for interval in (found.string, *found.within, found.between, found.pooled):
        assert bool((interval[:, 0] < interval[:, 1]).all())
    assert bool(
        ((found.string[:, 1] - found.string[:, 0]) < (wide.string[:, 1] - wide.string[:, 0])).all()
    )
    again = correlation_intervals(x, y, label, n_bootstrap=100)
    assert torch.equal(found.string, again.string)
    other = correlation_intervals(x, y, label, n_bootstrap=100, seed=1)
    assert not torch.equal(found.string, other.string)


@pytest.mark.statistical
def test_corpora_inside_a_scheme_correlate_as_their_strings_do() -> None:
    """Means of independent pairs: the size of a corpus changes the spread, not the correlation."""
    x, y = normal(500, 0.4, 2)
    string = correlations(x, y).string.pearson
    for size in (10, 1000):
        means = bootstrap_corpora(torch.stack([x, y], 1), n_corpora=4000, corpus_size=size)
        corpus = correlations(means[:, 0], means[:, 1]).string.pearson
        assert corpus == pytest.approx(string, abs=0.06)
        assert abs(corpus + string) > 0.06  # control: the reversed sign is out of reach
        assert float(means[:, 0].std()) == pytest.approx(float(x.std()) / math.sqrt(size), rel=0.1)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: correlations(X[:1], Y[:1]), "N >= 2, got N = 1"),
        (lambda: correlations(X, Y[:3]), r"reward must be \[4\], got \[3\]"),
        (lambda: correlations(X, torch.tensor([0.0, 1, math.nan, 3])), r"got nan at \[2\]"),
        (lambda: correlations(X, Y, torch.zeros(4)), "scheme must be an integer"),
        (lambda: correlations(X, Y, adjust="per_token"), "length must be .N. for adjust"),
        (lambda: correlations(X, Y, length=0 * X, adjust="length"), r"got 0.0 at \[0\]"),
        (lambda: correlations(X, Y, adjust="rank"), "adjust must be"),
        (lambda: correlation_intervals(X, Y, n_bootstrap=0), "n_bootstrap must be >= 1"),
        (lambda: correlation_intervals(X, Y, level=1.0), r"level must be in \(0, 1\), got 1.0"),
    ],
)
def test_errors(call, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call()
