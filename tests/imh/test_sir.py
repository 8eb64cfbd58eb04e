"""Draws from pools by weight: exact integers, their law, their random numbers."""

import math

import pytest
import torch
from support.oracle import chi_square_p

from aligndec import imh, rng

INF = math.inf


def test_by_hand() -> None:
    # Weights 1, 2, 0, 1: the cumulative shares are 1/4, 3/4, 3/4, 1.
    log_weight = torch.tensor([1.0, 2.0, 0.0, 1.0], dtype=torch.float64).log()
    u = torch.tensor([0.0, 0.2499, 0.2501, 0.7499, 0.7501, 1 - 2**-53], dtype=torch.float64)
    assert imh.sir(log_weight, 6, uniforms=u).tolist() == [0, 0, 1, 1, 3, 3]


def test_large_differences() -> None:
    weight = torch.tensor([-1e308, 1e308, -INF, -1e300], dtype=torch.float64)
    assert imh.sir(weight, 50).eq(1).all()
    assert imh.sir(torch.full((1000,), -5000.0), 2000, seed=2).unique().numel() > 800


def test_random_numbers_are_those_of_the_scheme() -> None:
    weight = torch.randn(2, 3, 40, dtype=torch.float64)
    bits = rng.philox(9, torch.arange(6)[:, None], torch.arange(15), rng.SIR)[0]
    u = rng.uniform(bits).view(2, 3, 15)
    out = imh.sir(weight, 15, seed=9)
    assert torch.equal(out, imh.sir(weight, 15, uniforms=u))
    assert torch.equal(out[..., :4], imh.sir(weight, 4, seed=9 + 2**64))
    alone = imh.sir(weight[1, 2], 15, seed=9, sequence_ids=torch.tensor([5]))
    assert torch.equal(alone, out[1, 2])
    assert imh.sir(weight, 0).shape == (2, 3, 0)


def test_multiply_high_is_the_wide_product() -> None:
    bits = torch.randint(-(2**63), 2**63 - 1, (3000,))
    for factor in (1, 2000, 2**31 - 1, 2**62 + 12345):
        found = rng.multiply_high(bits, factor).tolist()
        assert found == [((b % 2**64) * factor) >> 64 for b in bits.tolist()]


@pytest.mark.statistical
def test_law() -> None:
    weight = torch.randn(60, dtype=torch.float64) * 1.5
    weight[::7] = -INF
    drawn = torch.bincount(imh.sir(weight, 200_000, seed=3), minlength=60)
    assert chi_square_p(drawn, weight.softmax(0)) > 1e-6
    assert chi_square_p(drawn, (weight * 1.02).softmax(0)) < 1e-6


@pytest.mark.parametrize(
    ("weight", "kwargs", "message"),
    [
        (
            torch.full((2, 3), -INF),
            {},
            r"a finite entry in every pool, got only -inf in pool \[0\]",
        ),
        (torch.full((3,), -INF), {}, "a finite entry in every pool, got only -inf$"),
        (torch.tensor([0.0, INF]), {}, r"finite or -inf, got inf at \[1\]"),
        (torch.zeros(3), {"n": -1}, "n must be >= 0, got -1"),
        (torch.zeros(3), {"n": 2.0}, "n must be an int, got 2.0"),
        (torch.zeros(3), {"uniforms": torch.zeros(3).double()}, r"float64 \[..., n\] with n = 2"),
        (torch.zeros(2, 3), {"sequence_ids": torch.zeros(3).long()}, "sequence_ids must be int64"),
    ],
)
def test_refusals(weight: torch.Tensor, kwargs: dict, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^imh.sir: .*{message}"):
        imh.sir(weight, **{"n": 2, **kwargs})
