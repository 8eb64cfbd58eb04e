"""The tilting kernels against the reference, for every instruction set, type, size and side."""

import pytest
import torch
from support.tilt_rows import check_shared, check_solve, check_stats

SIZES = [1, 2, 7, 9, 33, 500]
SHARES = [1e-9, 0.2, 0.8, 1 - 1e-9, 2.0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", SIZES)
def test_stats(isa: str, n: int, dtype: torch.dtype) -> None:
    check_stats(torch.ops.aligndec.tilt_stats.default, n, dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", SIZES)
def test_solve(isa: str, n: int, dtype: torch.dtype) -> None:
    check_solve(torch.ops.aligndec.tilt_solve.default, n, dtype)


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("share", SHARES)
def test_shared(isa: str, kind: int, share: float) -> None:
    check_shared(torch.ops.aligndec.tilt_solve.default, 300, kind, share)


def test_threads_and_strides_do_not_matter(native: None) -> None:
    op = torch.ops.aligndec.tilt_solve.default
    log_p, r = torch.randn(64, 700), torch.randn(64, 1400)[:, ::2].contiguous()
    target = torch.rand(64, 2, dtype=torch.float64)
    torch.set_num_threads(1)
    one = op(log_p, r, target, 0, False)
    torch.set_num_threads(2)
    wide = torch.randn(64, 1000)
    wide[:, 100:800] = log_p
    for law in (log_p, wide[:, 100:800]):
        assert torch.equal(op(law, r, target, 0, False)[0], one[0])
    row = log_p[5:6].expand(64, 700)
    repeated = op(row, r[5:6].expand(64, 700), target, 0, False)[0]
    assert torch.equal(repeated[:, 9], op(log_p[5:6], r[5:6], target[9:10], 0, False)[0][:, 0])


def test_the_ops_guard_themselves(native: None) -> None:
    stats, solve = (getattr(torch.ops.aligndec, f"tilt_{n}").default for n in ("stats", "solve"))
    x, beta = torch.zeros(2, 3), torch.zeros(2, 1, dtype=torch.float64)
    for law, r in (
        (None, x[0]),
        (x.double(), x),
        (x[:1], x),
        (None, x.t()[:, :2]),
        (None, x[:, :0]),
    ):
        with pytest.raises(ValueError, match=r"tilt_stats: (r|log_p) must be"):
            stats(law, r, beta)
    with pytest.raises(ValueError, match="beta must be a contiguous float64"):
        stats(None, x, beta.float())
    with pytest.raises(ValueError, match="kind must be"):
        solve(None, x, beta, 2, True)
    with pytest.raises(ValueError, match="target must be"):
        solve(None, x, beta, 0, True)
