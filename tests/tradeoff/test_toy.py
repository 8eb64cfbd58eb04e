"""The toy experiment: the published numbers from the published seeds."""

import numpy as np
import pytest
import torch

from aligndec import tradeoff


@pytest.fixture(scope="module")
def laws() -> tradeoff.Toy:
    return tradeoff.toy()


@pytest.fixture(scope="module")
def corpora(laws: tradeoff.Toy) -> tradeoff.ToyCorpora:
    return tradeoff.toy_corpora(laws)


def banded(corpora: tradeoff.ToyCorpora, mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
    chosen = tradeoff.banded_resample(corpora.log_prior[mask])
    return tuple(column[mask][chosen] for column in corpora)


def test_the_laws(laws: tradeoff.Toy) -> None:
    for law in (laws.prior, laws.aligned):
        assert law.shape == (1000,)
        assert law.dtype == torch.float64
        assert float(law.sum()) == pytest.approx(1.0, abs=1e-12)
    torch.testing.assert_close(laws.reward, (laws.aligned / laws.prior).log())
    assert float(laws.entropy) == pytest.approx(5.0053061, abs=1e-7)
    assert float(laws.varentropy) == pytest.approx(1.4240682, abs=1e-7)
    assert float(tradeoff.renyi_entropy(laws.prior.log(), 1)) == pytest.approx(6.8689828, abs=1e-7)
    string = tradeoff.correlations(laws.prior.log(), laws.reward).string
    assert string == pytest.approx((0.48556, 0.42737), abs=1e-5)


def test_the_generator_is_dirichlet_then_uniforms() -> None:
    random = np.random.RandomState(7)
    aligned = random.dirichlet([0.5] * 20)
    score = aligned ** (1 / 3) + random.uniform(-0.1, 0.1, 20)
    laws = tradeoff.toy(7, size=20, concentration=0.5, power=3, noise=0.1)
    torch.testing.assert_close(laws.aligned, torch.from_numpy(aligned), rtol=0, atol=0)
    torch.testing.assert_close(laws.prior, torch.from_numpy(score).softmax(0))


def test_counts_are_those_of_numpys_choice(laws: tradeoff.Toy) -> None:
    mine = tradeoff.toy_corpora(laws, n_corpora=2, corpus_size=5000, first_seed=11)
    for i in range(2):
        index = np.random.RandomState(11 + i).choice(1000, 5000, p=laws.aligned.numpy())
        for column, values in zip(
            mine, (laws.prior.log(), laws.aligned.log(), laws.reward), strict=True
        ):
            assert float(column[i]) == pytest.approx(float(values[index].mean()), abs=1e-12)


@pytest.mark.slow
def test_published_correlations(laws: tradeoff.Toy, corpora: tradeoff.ToyCorpora) -> None:
    typical = tradeoff.typical_mask(corpora.log_aligned, laws.entropy, 0.001)
    assert int(typical.sum()) == 213
    everything = tradeoff.correlations(corpora.log_prior, corpora.reward).string
    assert everything == pytest.approx((-0.1205, -0.1198), abs=5e-5)
    inside = tradeoff.correlations(corpora.log_prior[typical], corpora.reward[typical]).string
    assert inside == pytest.approx((-0.8157, -0.7976), abs=5e-5)
    log_prior, log_aligned, reward = banded(corpora, typical)
    flat = tradeoff.correlations(log_prior, reward).string
    assert flat == pytest.approx((-0.9215, -0.9246), abs=5e-5)
    assert float(log_aligned.quantile(0.5)) * 1e5 == pytest.approx(-500523.78296, abs=1e-4)
    log_prior, log_aligned, reward = banded(corpora, ~typical)
    assert tradeoff.correlations(log_prior, reward).string[0] == pytest.approx(-0.3418, abs=5e-5)
    assert float(log_aligned.quantile(0.5)) * 1e5 == pytest.approx(-500718.74505, abs=1e-4)


@pytest.mark.slow
def test_epsilon_trades_correlation_for_probability(
    laws: tradeoff.Toy, corpora: tradeoff.ToyCorpora
) -> None:
    """What is seen in 1 000 corpora agrees with the closed form, which is Gaussian."""
    widths = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
    seen = []
    for epsilon in widths:
        mask = tradeoff.typical_mask(corpora.log_aligned, laws.entropy, epsilon)
        pair = tradeoff.correlations(corpora.log_prior[mask], corpora.reward[mask]).string
        seen.append((float(mask.double().mean()), pair.pearson))
    assert [s[0] for s in seen] == pytest.approx([0.020, 0.065, 0.213, 0.596, 0.991], abs=5e-4)
    assert [s[1] for s in seen] == pytest.approx([-0.997, -0.979, -0.816, -0.450, -0.132], abs=5e-4)
    width = torch.tensor(widths)
    theory = tradeoff.typical_correlation(laws.aligned.log(), laws.prior.log(), 1e5, width)
    assert theory.probability.tolist() == pytest.approx([s[0] for s in seen], abs=0.03)
    assert theory.correlation.tolist() == pytest.approx([s[1] for s in seen], abs=0.05)
    assert float(theory.correlation[2]) == pytest.approx(-0.8119, abs=5e-5)
    assert float(theory.probability[2]) == pytest.approx(0.2090, abs=5e-5)


def test_the_closed_form_has_the_right_limits(laws: tradeoff.Toy) -> None:
    law, prior = laws.aligned.log(), laws.prior.log()
    ends = tradeoff.typical_correlation(law, prior, 1e5, torch.tensor([1e-9, 10.0]))
    weight = laws.aligned
    x, y = (v - weight @ v for v in (prior, laws.reward))
    string = (weight @ (x * y)) / ((weight @ x**2) * (weight @ y**2)).sqrt()
    assert float(string) == pytest.approx(-0.1294, abs=5e-5)
    assert ends.correlation.tolist() == pytest.approx([-1.0, float(string)], abs=1e-9)
    assert ends.probability.tolist() == pytest.approx([0.0, 1.0], abs=1e-6)
    # The two forms of the variance meet where one takes over from the other.
    z = torch.tensor([1 - 1e-9, 1 + 1e-9]).double() * 1e-2 * (laws.varentropy / 1e5).sqrt()
    left, right = tradeoff.typical_correlation(law, prior, 1e5, z).correlation.tolist()
    assert left == pytest.approx(right, rel=1e-7)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: tradeoff.toy(-1), r"toy: seed must be in \[0, 2\^32\), got -1"),
        (lambda: tradeoff.toy(size=1), "toy: size must be >= 2, got 1"),
        (lambda: tradeoff.toy(noise=0.0), "toy: noise must be > 0, got 0.0"),
        (lambda: tradeoff.toy(concentration=1e-4), "toy: concentration must be large enough"),
        (
            lambda: tradeoff.toy_corpora(tradeoff.toy(), n_corpora=0),
            "n_corpora must be >= 1, got 0",
        ),
        (lambda: tradeoff.banded_resample(torch.zeros(0)), "values must be .N. with N >= 1, got 0"),
    ],
)
def test_errors(call, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        call()


def test_bands_are_equally_full() -> None:
    values = torch.tensor([0.0, 0.1, 0.2, 0.95, 1.0])
    index = tradeoff.banded_resample(values, n_bands=4, per_band=50)
    assert index.shape == (100,)  # two of the bands are empty
    assert set(index[:50].tolist()) == {0, 1, 2}
    assert set(index[50:].tolist()) == {3, 4}
    assert tradeoff.banded_resample(torch.ones(3), per_band=2).shape == (2,)
