"""The smaller CUDA kernels, run on the host, equal the CPU kernels."""

import pytest
import torch
from support.cases import DTYPES, INF, hostile, randn, rng
from support.host_cuda import Kernels
from torch import Tensor

pytestmark = pytest.mark.usefixtures("native")


def check(actual: list[Tensor], expected: tuple[Tensor, ...], tolerance: float = 0.0) -> None:
    """Every bit; with a tolerance, floats within it."""
    for a, b in zip(actual, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance, equal_nan=True)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=rng(seed), dtype=torch.float64)


@pytest.mark.parametrize("shape", [(1, 1), (3, 31), (40, 32), (9, 33), (70, 100), (5, 1000)])
def test_chains(shape: tuple[int, int], device: Kernels) -> None:
    weight = random(*shape, seed=1)
    weight[0, ::3] = -INF
    weight[-1] = -INF
    u = torch.rand(shape, generator=rng(2), dtype=torch.float64)
    u[0, ::2] = 0.0
    ids = torch.arange(shape[0]) * 2**33 + 5
    for given in ((weight, 3, None, None), (weight, -9, ids, None), (weight, 0, None, u)):
        check(device.imh_chain(*given), torch.ops.aligndec.imh_chain(*given))


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 7, 3), (3, 500, 40), (1, 40, 0)])
@pytest.mark.parametrize("steps", [(1, 0), (31, 30), (100, 7)])
def test_chains_over_pools(
    shape: tuple[int, int, int], steps: tuple[int, int], device: Kernels
) -> None:
    """States to the bit; means are sums in another order."""
    weight, values = random(*shape[:2], seed=3), random(*shape, seed=4)
    if shape[1] > 1:
        weight[0, 1:3] = -INF
        values[0, 1] = INF
    given = (weight, values, 9, *steps, 5)
    mean, accepted = torch.ops.aligndec.imh_resample(*given)
    got = device.imh_resample(*given)
    check(got[1:], (accepted,))
    check(got[:1], (mean,), 1e-13)


@pytest.mark.parametrize("dtype", DTYPES)
def test_candidates(dtype: torch.dtype, device: Kernels) -> None:
    """Ties by id, ids without probability, broken rows; k up to the whole vocabulary."""
    x = torch.cat((hostile("coarse_ties", dtype), randn(4, 700, 3).to(dtype)))
    x[1, 40:] = -INF
    x[2] = 1.0
    x[3, 5] = float("nan")
    x[4] = -INF
    for valid in (700, 333):
        for k in (1, 2, 7, 64, valid):
            op = torch.ops.aligndec.candidates
            check(device.candidates(x, k, valid), op(x, k, valid))


@pytest.mark.parametrize("greedy", [False, True])
def test_choices(greedy: bool, device: Kernels) -> None:
    log_p, value = random(70, 10, seed=5).log_softmax(-1), random(70, 10, seed=6)
    value[::7, 3] = -INF
    alphas = torch.rand(70, generator=rng(7), dtype=torch.float64) + 0.01
    u = torch.rand(70, generator=rng(8), dtype=torch.float64)
    ids, positions = torch.arange(70) * 2**33, torch.arange(70) * 3
    for rest in ((None, 4, None, None), (ids, 0, positions, None), (None, 0, None, u)):
        for alpha in (alphas, alphas[:1]):
            given = (log_p, value, alpha, greedy, 11, *rest)
            check(device.rescore(*given), torch.ops.aligndec.rescore(*given))


def test_values_from_rollouts(device: Kernels) -> None:
    rewards, ratio = random(90, 6, seed=9), 5 * random(90, 6, seed=10)
    ratio[::5, 2] = -INF
    for given in (
        (rewards, None, 0),
        (rewards, ratio, 0),
        (rewards, ratio, 1),
        (rewards, ratio, 2),
    ):
        check(device.segment_value(*given), torch.ops.aligndec.segment_value(*given))


@pytest.mark.parametrize("vocab", [1, 63, 1000])
def test_combined_laws(vocab: int, device: Kernels) -> None:
    """Sums over the vocabulary are in another order."""
    terms = [randn(5, vocab, s).to(dtype) for s, dtype in enumerate(DTYPES)]
    terms[0][1, ::2] = -INF
    terms[1][1, ::3] = -INF
    terms[2][2] = -INF
    terms[0][3, 0] = INF
    terms[1][4, 0] = float("nan")
    for weights in ((1.0, 0.5, 0.25), (1.0, -0.5, 0.0), (0.0, 0.0, 1.0)):
        expected = torch.ops.aligndec.combine_logits(terms, list(weights))
        check([device.combine_logits(terms, list(weights))], (expected,), 1e-12)
