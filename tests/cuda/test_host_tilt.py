"""The device code of the tilting kernels, run on the host: the reference, 60 digits, same bits."""

import pytest
import torch
from support.host_cuda import Kernels, Machine
from support.tilt_oracle import Exact
from support.tilt_rows import INF, batch, check_shared, check_solve, check_stats
from torch import Tensor

pytestmark = pytest.mark.usefixtures("native")
SIZES = [1, 7, 41, 200]  # a warp takes up to 40 outcomes
SHARES = [1e-9, 1e-5, 0.3, 0.5, 0.7, 1 - 1e-5, 1 - 1e-9]
TYPES = [torch.float32, torch.float64]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("n", SIZES)
def test_stats(n: int, dtype: torch.dtype, device: Kernels) -> None:
    check_stats(device.tilt_stats, n, dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("n", SIZES)
def test_solve(n: int, dtype: torch.dtype, device: Kernels) -> None:
    check_solve(device.tilt_solve, n, dtype)


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("share", [1e-9, 0.2, 0.8, 1 - 1e-9, 2.0])
def test_shared(kind: int, share: float, device: Kernels) -> None:
    check_shared(device.tilt_solve, 300, kind, share)


def single(n: int, name: str) -> tuple[Tensor, Tensor]:
    """One row: what the budgets are asked of."""
    scale, offset, spread = {
        "plain": (1.0, 0.0, 3.0),
        "offset": (1.0, 1e6, 3.0),
        "large": (1e3, -1e6, 3.0),
        "small": (1e-3, 0.0, 3.0),
        "holes": (1.0, 0.0, 3.0),
        "deep": (1.0, 0.0, 400.0),
    }[name]
    log_p, r = torch.randn(2, n, dtype=torch.float64)
    log_p, r = log_p * spread, r * scale + offset
    if name == "holes":
        log_p[3], r[3] = -INF, INF
        r[4:6] = -INF
    return log_p.log_softmax(0), r


@pytest.mark.parametrize("n", [20, 200])
@pytest.mark.parametrize("name", ["plain", "offset", "large", "small", "holes", "deep"])
def test_roots_in_60_digits(n: int, name: str, kernels: Kernels) -> None:
    """The contract of solve_beta_for_kl, one row by a warp and by a cluster."""
    kernels.configure(Machine(order=7))
    log_p, r = single(n, name)
    exact = Exact(log_p.tolist(), r.tolist())
    floor = -exact.log_live
    target = [float(floor + share * (exact.kl_max - floor)) for share in SHARES]
    given = (log_p[None], r[None], torch.tensor([target], dtype=torch.float64), 0, False)
    values, flags = kernels.tilt_solve(*given)
    assert kernels.asked_for() == (1, 0, int(n > 40))
    assert not flags[:3].any()
    assert (flags[3] <= 25).all(), flags[3]
    for beta, kl in zip(values[0, 0].tolist(), target, strict=True):
        assert abs(float(beta / exact.beta(kl, beta) - 1)) < 1e-10


@pytest.mark.parametrize("n", [40, 300])
def test_the_order_of_threads_does_not_matter(n: int, kernels: Kernels) -> None:
    """Sums in one order; and every warp, block and row alike."""
    log_p, r = batch(n, torch.float64)
    target = torch.tensor([[0.01, 0.4, 2.0]], dtype=torch.float64)
    one = torch.full((1, 1), 0.3, dtype=torch.float64)
    for row in (0, 2, 8):
        answers = []
        for order in (0, 1, 99):
            kernels.configure(Machine(order=order))
            law, rewards = (x[row : row + 1] for x in (log_p, r))
            answers.append(
                (
                    *kernels.tilt_solve(law, rewards, target, 0, False),
                    kernels.tilt_stats(law, rewards, target),
                    *kernels.tilt_solve(log_p[:8], r[:8], one, 0, True),
                )
            )
        for other in answers[1:]:
            assert all(torch.equal(a, b) for a, b in zip(answers[0], other, strict=True))


def test_strides_and_repeated_rows(device: Kernels) -> None:
    log_p, r = torch.randn(3, 90), torch.randn(3, 90)
    target = torch.rand(3, 2, dtype=torch.float64)
    wide = torch.randn(3, 200)
    wide[:, 7:97] = log_p
    same = device.tilt_solve(log_p, r, target, 0, False)
    for mine, other in zip(
        device.tilt_solve(wide[:, 7:97], r, target, 0, False), same, strict=True
    ):
        assert torch.equal(mine, other)
    repeated = device.tilt_solve(log_p[1:2].expand(3, 90), r[1:2].expand(3, 90), target, 0, False)
    assert torch.equal(repeated[0][:, 1], same[0][:, 1])


def test_no_rows(device: Kernels) -> None:
    empty = torch.zeros(0, 5)
    target = torch.zeros(0, 2, dtype=torch.float64)
    assert device.tilt_stats(empty, empty, target).shape == (5, 0, 2)
    assert device.tilt_solve(empty, empty, target, 0, False)[0].shape == (4, 0, 2)
