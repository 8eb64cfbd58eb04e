"""Pareto k of the weights, and samples as arviz reads them."""

import math

import pytest
import torch
from support.whole_strings import MODELS, sampler

import aligndec as ad
from aligndec import imh


@pytest.mark.parametrize("spread", [0.3, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("n", [40, 400, 3000])
def test_pareto_k_is_that_of_arviz(spread: float, n: int) -> None:
    stats = pytest.importorskip("arviz_stats.base")
    log_weight = torch.randn(2, n, dtype=torch.float64) * spread
    for row, k in zip(log_weight, imh.diagnostics(log_weight).pareto_k, strict=True):
        _, expected = stats.array_stats.psislw(-row.numpy())  # it takes minus the log-weights
        assert float(k) == pytest.approx(float(expected), abs=1e-10)


def test_pareto_k_tells_tails_apart() -> None:
    u = torch.rand(20_000, dtype=torch.float64)
    for k in (0.2, 0.5, 1.0):
        assert float(imh.diagnostics(-k * u.log()).pareto_k) == pytest.approx(k, abs=0.15)


def test_pareto_k_without_a_tail() -> None:
    for weight in (torch.zeros(100), torch.full((100,), -math.inf), torch.randn(24)):
        assert imh.diagnostics(weight).pareto_k.isnan()


def test_to_arviz() -> None:
    pytest.importorskip("arviz_base")
    made = sampler(MODELS["chain"], ad.Adaptor(top_p=0.7))
    out = made.sample([[1], [3]], n_samples=40, n_chains=4, seed=5, prompt_ids=[7, 9])
    tree = out.to_arviz(n_chains=4)
    log_p = tree["posterior"]["log_p"]
    assert log_p.dims == ("chain", "draw", "prompt")
    assert log_p.shape == (4, 10, 2)
    assert log_p.coords["prompt"].values.tolist() == [7, 9]
    rows = out.samples().log_p.view(2, 10, 4)
    assert torch.equal(torch.tensor(log_p.values), rows.permute(2, 1, 0))
    with pytest.raises(ValueError, match="n_chains must divide n_samples = 40, got 3"):
        out.to_arviz(n_chains=3)
