"""Options of the methods: what is refused, and that nothing is refused without the way out."""

import math

import pytest
from support.whole_strings import MODELS, T

import aligndec as ad

LM = MODELS["chain"]


def partial(strings: ad.Generation):
    return strings.log_p


partial.partial = True


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"n_particles": 8}, 'n_particles must be 64, its default, for method "imh", which ig'),
        ({"method": "suffix", "threshold": 0.4}, "threshold must be 0.5, its default, for method"),
        ({"method": "sir", "resampling": "residual"}, "resampling must be 'systematic', its def"),
        ({"method": "rejection", "bridge": 2}, "bridge must be 0, its default"),
        ({"method": "imh", "keep_particles": True}, "keep_particles must be False, its default"),
        ({"method": "smc", "moves": 3}, "moves must be 10, its default"),
        ({"method": "pimh", "block_size": 3}, "block_size must be None, its default"),
        ({"method": "suffix", "moves": 3}, "moves must be 10, its default, for block_size None"),
        ({"method": "smc", "n_particles": 0}, "n_particles must be >= 1, got 0"),
        ({"method": "smc", "n_particles": 2**31}, "n_particles must be < 2.31"),
        ({"method": "smc", "threshold": 1.1}, r"threshold must be in \[0, 1\], got 1.1"),
        ({"method": "smc", "threshold": math.nan}, r"threshold must be in \[0, 1\], got nan"),
        ({"method": "smc", "resampling": "best"}, "resampling must be one of"),
        ({"method": "smc", "bridge": -1}, "bridge must be >= 0, got -1"),
        (
            {"method": "smc", "bridge": 2, "target": "base"},
            "bridge must be 0 for targets other tha",
        ),
        ({"method": "pimh", "bridge": 2, "target": partial}, "bridge must be 0 for targets other"),
        ({"method": "suffix", "block_size": 0}, "block_size must be >= 1, got 0"),
        ({"method": "suffix", "block_size": 2, "moves": 0}, "moves must be >= 1, got 0"),
    ],
)
def test_refusals(kwargs: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"^GlobalSampler: {message}"):
        ad.GlobalSampler(LM, max_new_tokens=T, **kwargs)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"keep_particles": 1}, "keep_particles must be a bool, got 1"),
        ({"n_particles": 2.0}, "n_particles must be an int, got 2.0"),
        ({"threshold": "half"}, "threshold must be a number, got 'half'"),
    ],
)
def test_types(kwargs: dict, message: str) -> None:
    with pytest.raises(TypeError, match=f"^GlobalSampler: {message}"):
        ad.GlobalSampler(LM, max_new_tokens=T, method="smc", **kwargs)


@pytest.mark.parametrize(
    ("options", "call", "message"),
    [
        ({"method": "smc"}, {"burn_in": 2}, 'burn_in must be 0, its default, for method "smc"'),
        ({"method": "smc"}, {"thin": 2}, 'thin must be 1, its default, for method "smc"'),
        ({"method": "pimh"}, {"n_chains": 2}, "n_samples must be a multiple of n_chains = 2"),
        (
            {"method": "smc", "n_particles": 6},
            {"n_chains": 2},
            "n_chains [*] n_particles must be <= max_proposals = 11, got 12",
        ),
        (
            {"method": "pimh", "n_particles": 4},
            {},
            r"n_particles [*] \(n_chains [*] burn_in .*\) must be <= max_proposals = 11, got 12",
        ),
        (
            {"method": "suffix", "block_size": 2, "moves": 5},
            {},
            "n_chains [*] moves [*] blocks .* must be <= max_proposals = 11, got 13",
        ),
    ],
)
def test_refusals_of_a_call(options: dict, call: dict, message: str) -> None:
    given = ad.GlobalSampler(LM, max_new_tokens=T, max_proposals=11, **options)
    with pytest.raises(ValueError, match=f"^GlobalSampler.sample: {message}"):
        given.sample([[1]], **{"n_samples": 3, **call})


def test_filters_draw_any_number_of_samples() -> None:
    given = ad.GlobalSampler(LM, max_new_tokens=T, method="smc", n_particles=5)
    out = given.sample([[1]], n_samples=7, n_chains=3)
    assert out.index.shape == (1, 7)
    assert out.log_weight.shape == (1, 15)
    assert out.log_z_hat.shape == (1, 3)
    assert out.ancestors is None
