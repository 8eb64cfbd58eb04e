"""Cramér's V of a chain: the table by hand, its floor, its correction, its population value."""

import math

import pytest
import torch

from aligndec import imh


def by_table(states: list[int], lag: int, correction: str) -> float:
    """From the dense table, as the definition has it."""
    pairs = list(zip(states[:-lag], states[lag:], strict=True))
    n, rows, columns = len(pairs), sorted({a for a, _ in pairs}), sorted({b for _, b in pairs})
    table = torch.zeros(len(rows), len(columns), dtype=torch.float64)
    for a, b in pairs:
        table[rows.index(a), columns.index(b)] += 1
    expected = table.sum(1)[:, None] * table.sum(0) / n
    phi2 = float(((table - expected) ** 2 / expected).sum()) / n
    r, c = table.shape
    if correction == "none":
        return math.sqrt(phi2 / min(r - 1, c - 1))
    phi2 = max(0.0, phi2 - (r - 1) * (c - 1) / (n - 1))
    corrected = [k - (k - 1) ** 2 / (n - 1) for k in (r, c)]
    return math.sqrt(phi2 / min(corrected[0] - 1, corrected[1] - 1))


@pytest.mark.parametrize("lag", [1, 3])
@pytest.mark.parametrize("correction", ["none", "bergsma"])
@pytest.mark.parametrize("names", ["small", "large"])
def test_against_the_table(lag: int, correction: str, names: str) -> None:
    states = torch.randint(0, 7, (90,)).sort().values.roll(20)
    states[::4] = torch.randint(0, 7, (23,))
    if names == "large":
        states = states * 2**58 - 2**60
    expected = by_table(states.tolist(), lag, correction)
    assert imh.cramers_v(states, lag, correction) == pytest.approx(expected, abs=1e-12)
    assert 0.1 < expected < 0.9


def test_the_floor_of_independent_draws() -> None:
    k, n = 1948, 5000
    states = torch.randint(0, k, (n,))
    assert imh.cramers_v(states) == pytest.approx(math.sqrt((k - 1) / (n - 1)), abs=0.05)
    assert imh.cramers_v(states, correction="bergsma") < 0.1


def test_the_population_value() -> None:
    log_weight = torch.randn(50, dtype=torch.float64)
    exact = float(imh.diagnostics(log_weight).cramers_v)
    pick = torch.randint(0, 50, (200_000,))
    states = pick[imh.chain(log_weight[pick], seed=1).index]
    assert imh.cramers_v(states, correction="bergsma") == pytest.approx(exact, abs=0.01)
    assert imh.cramers_v(pick, correction="bergsma") < 0.02  # a chain that never rejects


def test_chains_that_do_not_move() -> None:
    for correction in ("none", "bergsma"):
        assert imh.cramers_v(torch.full((9,), 4), correction=correction) == 1.0
        assert imh.cramers_v(torch.tensor([3, 3, 3, 8]), correction=correction) == 1.0
    assert imh.cramers_v(torch.arange(9)) == 1.0
    assert math.isnan(imh.cramers_v(torch.arange(9), correction="bergsma"))


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((torch.zeros(3).long(), 3), r"states must be int64 \[n\] with n > lag = 3, got .* \[3\]"),
        ((torch.zeros(3),), "states must be int64"),
        ((torch.zeros(3, 3).long(),), "states must be int64"),
        (([1, 2, 3],), "states must be int64"),
        ((torch.zeros(3).long(), 0), "lag must be >= 1, got 0"),
        ((torch.zeros(3).long(), 1.5), "lag must be an int"),
        ((torch.zeros(3).long(), 1, "yates"), "correction must be"),
    ],
)
def test_refusals(args: tuple, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=f"^imh.cramers_v: {message}"):
        imh.cramers_v(*args)
