"""Numbers of two float64: e^x and ln(1 + x) against 60 digits."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mpmath import mp, mpf
from support import native

BOUND = 2.0**-70


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return native.build(tmp_path_factory.mktemp("double_double"), "baseline")


def pairs(hi: np.ndarray, seed: int) -> np.ndarray:
    """Numbers with a second half, up to half an ulp of the first."""
    lo = np.random.default_rng(seed).uniform(-0.5, 0.5, len(hi)) * np.spacing(hi)
    return np.stack([hi, lo], 1)


def exponents() -> np.ndarray:
    rng = np.random.default_rng(0)
    small = 10.0 ** rng.uniform(-300, 0, 500) * rng.choice([-1, 1], 500)
    ln2 = np.arange(-9, 10) * 0.5 * np.log(2)
    return pairs(np.concatenate([[0.0, -708.0], -708 * rng.random(1500), small, ln2]), 1)


def arguments() -> np.ndarray:
    """What ratios of masses are: any number > 0; and the ends of (-1, 0)."""
    rng = np.random.default_rng(2)
    positive = 10.0 ** rng.uniform(-300, 300, 1500)
    negative = -rng.random(500)
    return pairs(
        np.concatenate([[1.0], positive, negative, negative * 1e-9]),
        3,
    )


def worst(program: Path, name: str, x: np.ndarray, f: Callable[[mpf], mpf], terms: int) -> float:
    """The largest relative error of the first `terms` halves of the result."""
    got = native.dump(program, name, x, np.float64).reshape(-1, 2)
    with mp.workdps(60):
        errors = [0.0]
        for given, ours in zip(x.tolist(), got.tolist(), strict=True):
            true = f(mpf(given[0]) + mpf(given[1]))
            if abs(true) > 1e-290:  # below, the second half is subnormal
                errors.append(float(abs((sum(map(mpf, ours[:terms])) - true) / true)))
    return max(errors)


CASES = [("wide_exp", exponents, mp.exp), ("wide_log1p", arguments, mp.log1p)]


@pytest.mark.parametrize(("name", "inputs", "f"), CASES)
def test_accuracy(program: Path, name: str, inputs: Callable, f: Callable) -> None:
    x = inputs()
    assert worst(program, name, x, f, 2) < BOUND
    # Negative control: one float64 is not enough.
    assert worst(program, name, x, f, 1) > 1e5 * BOUND


def test_what_would_not_be_normal_is_zero(program: Path) -> None:
    x = np.array([[-708.1, 0.0], [-1e300, 0.0], [-np.inf, np.nan], [np.nan, np.nan]])
    assert not native.dump(program, "wide_exp", x, np.float64).any()
