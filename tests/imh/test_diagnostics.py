"""The diagnostics of a chain against the dense transition matrix of its pool."""

import math

import pytest
import torch
from torch import Tensor

from aligndec import imh

POOLS = {
    "spread": torch.randn(9, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 2,
    "ties": torch.tensor([0.0, 0.0, -1.0, -1.0, 1.0], dtype=torch.float64),
    "constant": torch.full((6,), -700.0, dtype=torch.float64),
    "vanishing": torch.tensor([0.0, -math.inf, 1.0, -math.inf, -2.0], dtype=torch.float64),
    "far": torch.tensor([-2000.0, -1200.0, -1201.0, -1199.0], dtype=torch.float64),
    "single": torch.tensor([-math.inf, 3.0, -math.inf], dtype=torch.float64),
}


def dense(log_weight: Tensor) -> tuple[Tensor, Tensor]:
    """Transition matrix and stationary law on the entries with weight."""
    n, live = len(log_weight), log_weight[log_weight > -math.inf]
    matrix = (live[None] - live[:, None]).clamp(max=0).exp() / n
    matrix.fill_diagonal_(0)
    matrix += torch.diag(1 - matrix.sum(1))
    return matrix, live.softmax(0)


@pytest.mark.parametrize("name", POOLS)
def test_exact_forms(name: str) -> None:
    weight = POOLS[name]
    matrix, law = dense(weight)
    n, k = len(weight), len(law)
    out = imh.diagnostics(weight)
    w = (weight - weight.max()).exp()
    pairs = torch.minimum(w[:, None], w[None]).sum() / (n * w.sum())
    torch.testing.assert_close(out.expected_acceptance, pairs)
    torch.testing.assert_close(out.ess, w.sum() ** 2 / (w * w).sum())
    torch.testing.assert_close(out.w_star, n / w.sum())
    torch.testing.assert_close(out.max_weight_share, 1 / w.sum())
    torch.testing.assert_close(out.log_z, w.mean().log() + weight.max())
    torch.testing.assert_close(out.tau_int, 2 * out.w_star - 1)
    error = ((n / out.ess - 1) / n).clamp(min=0).sqrt()
    torch.testing.assert_close(out.log_z_se, error, rtol=1e-6, atol=1e-7)
    v = (((matrix @ matrix).trace() - 1) / (k - 1)).clamp(min=0).sqrt() if k > 1 else 1.0
    torch.testing.assert_close(out.cramers_v, torch.as_tensor(v).double(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in POOLS if name not in ("single", "far")])
def test_autocorrelation_time_is_that_of_the_matrix(name: str) -> None:
    weight = POOLS[name]
    matrix, law = dense(weight)
    values = torch.randn(len(weight), 3, dtype=torch.float64)
    values[:, 2] = 5.0
    f = values[weight > -math.inf]
    f = f - law @ f
    # 1 + 2 Σ_h corr(h) = 2 <f, (I − P)^-1 f> / <f, f> − 1 for f of mean 0.
    solved = torch.linalg.lstsq(torch.eye(len(law)).double() - matrix, f, driver="gelsd").solution
    tau = 2 * (law[:, None] * f * solved).sum(0) / (law[:, None] * f * f).sum(0) - 1
    out = imh.diagnostics(weight, values=values)
    torch.testing.assert_close(out.tau_int[:2], tau[:2])
    torch.testing.assert_close(out.ess_chain[:2], len(weight) / tau[:2])
    assert bool((out.tau_int[:2] <= 2 * out.w_star - 1 + 1e-9).all())
    assert not bool(out.tau_int[2] < 1)  # a constant has no autocorrelation


def test_of_a_chain() -> None:
    weight = torch.zeros(2, 8, dtype=torch.float64)
    weight[1, 2:] = -1000.0
    out = imh.diagnostics(weight, imh.chain(weight, seed=3))
    assert out.acceptance_rate.tolist() == [1.0, 1 / 7]
    assert out.n_unique.tolist() == [8, 2]
    assert out.longest_hold.tolist() == [1, 7]
    assert out.flags["constant_weights"].tolist() == [True, False]
    assert not any(out.flags["always_accepting"].tolist() + out.flags["stuck"].tolist())


def test_flags() -> None:
    weight = torch.full((4, 5), -1000.0, dtype=torch.float64)
    weight[0, 0] = 0.0  # never left
    weight[1] = -math.inf
    weight[2] = torch.arange(5)  # uphill all the way: what a broken accept test looks like
    weight[3] = 0.0
    flags = imh.diagnostics(weight, imh.chain(weight)).flags
    assert flags["stuck"].tolist() == [True, True, False, False]
    assert flags["degenerate"].tolist() == [True, True, True, False]
    assert flags["always_accepting"].tolist() == [False, False, True, False]
    assert flags["constant_weights"].tolist() == [False, True, False, True]
    one = imh.diagnostics(torch.zeros(1), imh.chain(torch.zeros(1))).flags
    assert one["constant_weights"]
    assert not any(bool(one[name]) for name in ("stuck", "degenerate", "always_accepting"))


def test_without_a_chain_and_without_weight() -> None:
    out = imh.diagnostics(torch.full((3, 4), -math.inf))
    assert out.ess.eq(0).all()
    assert out.log_z.eq(-math.inf).all()
    assert out.acceptance_rate.isnan().all()
    assert out.n_unique.eq(0).all()
    assert out.cramers_v.isnan().all()


@pytest.mark.statistical
def test_expected_acceptance_is_what_a_long_chain_does() -> None:
    pool = torch.randn(50, dtype=torch.float64)
    pick = torch.randint(50, (200, 4000))
    rate = float(imh.chain(pool[pick], seed=1).acceptance_rate.mean())
    expected = float(imh.diagnostics(pool).expected_acceptance)
    assert abs(rate - expected) < 3e-3
    wrong = float(imh.diagnostics(pool * 1.05).expected_acceptance)
    assert abs(rate - wrong) > 3e-3


def test_refusals() -> None:
    weight = torch.zeros(2, 5)
    with pytest.raises(ValueError, match=r"imh.diagnostics: chain must be \[2, 5\], got \[2, 4\]"):
        imh.diagnostics(weight, imh.chain(weight[:, :4]))
    with pytest.raises(ValueError, match=r"imh.diagnostics: values must be \[..., N, S\] for"):
        imh.diagnostics(weight, values=torch.zeros(2, 4, 3))
    with pytest.raises(ValueError, match=r"imh\.diagnostics: log_weight must be"):
        imh.diagnostics(torch.tensor([math.nan]))
