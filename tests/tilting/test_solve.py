"""Budgets to tilts: against roots in 60 digits, at the ends of the range, and the flags."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.tilt_oracle import QUICK, Exact, doubles, rows
from torch import Tensor

from aligndec import tilting

INF = math.inf
pytestmark = pytest.mark.usefixtures("backend")
shares = st.sampled_from([1e-9, 1e-7, 1e-4, 0.03, 0.4, 0.6, 0.97, 1 - 1e-4, 1 - 1e-7, 1 - 1e-9])


def error(log_p: Tensor, r: Tensor, kl: Tensor) -> float:
    """Relative error of β of one row, against the root for the same float64 numbers."""
    solved = tilting.solve_beta_for_kl(log_p, r, kl)
    assert solved.iterations.item() <= 25
    assert solved.kl_used.item() == pytest.approx(kl.item(), rel=1e-9)
    beta = solved.beta.item()
    return abs(float(beta / Exact(log_p.tolist(), r.tolist()).beta(kl.item(), beta) - 1))


@QUICK
@given(
    row=rows(),
    share=shares,
    scale=st.sampled_from([1e-3, 1.0, 1e3]),
    offset=st.sampled_from([0.0, 1e6, -1e6]),
    hole=st.booleans(),
)
def test_the_root(
    row: tuple[Tensor, Tensor], share: float, scale: float, offset: float, hole: bool
) -> None:
    log_p, r = row[0], row[1] * scale + offset
    if hole:  # an outcome that does not exist, whatever its reward
        log_p, r = torch.cat([log_p, doubles(-INF)]), torch.cat([r, doubles(INF)])
    assert error(log_p, r, share * tilting.kl_max(log_p, r)) < 1e-10


@pytest.mark.parametrize("share", [1e-9, 1e-3, 0.5, 1 - 1e-6, 1 - 1e-9])
@pytest.mark.parametrize("spread", [0.0, 3.0, 40.0, 400.0])
def test_wide_rows(share: float, spread: float) -> None:
    log_p = (torch.randn(60, dtype=torch.float64) * spread).log_softmax(0)
    r = torch.randn(60, dtype=torch.float64)
    assert error(log_p, r, share * tilting.kl_max(log_p, r)) < 1e-10


def test_plateaus() -> None:
    """The KL stays at ln 3/2 from β = 30 to 10⁵; Newton alone jumps to 10¹⁰."""
    log_p, r = doubles(0.0, 0.0, 0.0), doubles(0.0, 1.0, 1.0 + 1e-6)
    for kl in (0.4, 0.41, 0.6, 1.0):
        assert error(log_p, r, doubles(kl)[0]) < 1e-10


@pytest.mark.parametrize("share", [1e-9, 1e-5, 0.3, 0.9, 1 - 1e-9])
def test_hard_constraints(share: float) -> None:
    log_p, r = doubles(-1.0, -2.0, -0.3, -1.0), doubles(-INF, 0.5, -0.2, 1.0)
    exact = Exact(log_p.tolist(), r.tolist())
    floor = -float(Exact.kl(exact, 1e-40)) * -1
    kl = floor + share * (float(exact.kl_max) - floor)
    assert error(log_p, r, doubles(kl)[0]) < 1e-10
    below = tilting.solve_beta_for_kl(log_p, r, floor / 2)
    assert bool(below.impossible)
    assert (below.beta.item(), bool(below.saturated)) == (0.0, False)
    assert below.kl_used.item() == pytest.approx(floor)
    assert below.reward.item() == pytest.approx(float(exact.reward(1e-40)))


def test_flags() -> None:
    log_p, r = doubles(0.5, 0.3, 0.2).log(), doubles(0.0, 1.0, 3.0)
    most = -math.log(0.2)
    s = tilting.solve_beta_for_kl(log_p, r, doubles(0.0, 1.0, most, most + 1, INF))
    assert s.saturated.tolist() == [False, False, True, True, True]
    assert s.beta[[0, 2, 3, 4]].tolist() == [0.0, INF, INF, INF]
    assert s.kl_used.tolist() == pytest.approx([0.0, 1.0, most, most, most])
    assert s.kl_max.tolist() == pytest.approx([most] * 5)
    assert s.reward[[0, 2, 3, 4]].tolist() == pytest.approx([0.9, 3, 3, 3])
    assert not s.constant.any()
    assert not s.impossible.any()
    for values in (doubles(2.0, 2.0, 2.0), doubles(-INF, -INF, -INF), doubles(7.0)):
        law = log_p[: len(values)]
        flat = tilting.solve_beta_for_kl(law, values, doubles(0.0, 0.5))
        assert flat.constant.all()
        assert not (flat.saturated | flat.impossible).any()
        assert flat.beta.tolist() == [0.0, 0.0]
        assert flat.kl_used.tolist() == [0.0, 0.0]
        assert flat.reward.tolist() == [values[0].item()] * 2
    one = tilting.solve_beta_for_kl(doubles(-INF, 0.0), doubles(5.0, 1.0), 0.5)
    assert bool(one.constant)
    only = tilting.solve_beta_for_kl(log_p, doubles(-INF, -INF, 1.0), 5.0)
    assert bool(only.saturated)
    assert only.kl_used.item() == pytest.approx(most)


def test_nothing_is_nan() -> None:
    log_p = torch.randn(60, 12, dtype=torch.float64) * 50
    r = torch.randn(60, 12, dtype=torch.float64).round(decimals=1)
    log_p[::3, ::2], r[::4, :5], r[1::7] = -INF, -INF, 2.0
    budget = torch.tensor([0.0, 1e-300, 1e-12, 1.0, 300.0, INF], dtype=torch.float64)
    s = tilting.solve_beta_for_kl(log_p[:, None], r[:, None], budget)
    assert not any(field.isnan().any() for field in s)
    f = tilting.reward_kl_frontier(log_p, r, kl=budget)
    assert not any(field.isnan().any() for field in f)
    finite = torch.where(r.isinf(), -3.0, r)
    t = tilting.solve_beta_for_reward(log_p, finite, 0.3)
    assert not any(field.isnan().any() for field in t)


def test_the_other_side() -> None:
    log_p, r = doubles(-0.5, -1.5, -2.5), doubles(0.3, -1.0, 2.0)
    low = tilting.solve_beta_for_kl(log_p, r, 0.2, side="min")
    mirror = tilting.solve_beta_for_kl(log_p, -r, 0.2)
    assert low.beta.item() == -mirror.beta.item() < 0
    assert low.reward.item() == -mirror.reward.item()
    bottom = tilting.solve_beta_for_kl(log_p, r, 9.0, side="min")
    assert bottom.beta.item() == -INF
    assert bottom.kl_used.item() == pytest.approx(tilting.kl_max(log_p, r, side="min").item())
    assert bottom.kl_used.item() == pytest.approx(-log_p.log_softmax(0)[1].item())


def test_one_beta_for_all_rows() -> None:
    """A common β spends the mean budget where it pays: never less reward than equal budgets."""
    log_p, r = torch.randn(2, 3, 8, dtype=torch.float64), torch.randn(2, 3, 8, dtype=torch.float64)
    r = r * torch.tensor([1.0, 20.0, 1e-3])[:, None].double()
    each, both = (tilting.solve_beta_for_kl(log_p, r, 0.4, scope=s) for s in ("row", "mean"))
    assert both.beta.shape == both.iterations.shape == both.kl_max.shape == ()
    assert both.kl_used.shape == both.reward.shape == (2, 3)
    assert both.kl_used.mean().item() == pytest.approx(0.4, rel=1e-10)
    assert both.reward.mean() > each.reward.mean() + 1e-3
    stats = tilting.tilt_stats(log_p, r, both.beta)
    assert stats.kl.flatten().tolist() == pytest.approx(both.kl_used.flatten().tolist())
    assert both.kl_max.item() == pytest.approx(tilting.kl_max(log_p, r).mean().item())
    top = tilting.solve_beta_for_kl(log_p, r, 99.0, scope="mean")
    assert bool(top.saturated)
    assert top.beta.item() == INF
    low = tilting.solve_beta_for_kl(log_p, r, 0.4, scope="mean", side="min")
    assert low.beta.item() < 0
    flat = tilting.solve_beta_for_kl(log_p, r * 0, 0.4, scope="mean")
    assert bool(flat.constant)
    near = both.kl_max * (1 - 1e-9)
    close = tilting.solve_beta_for_kl(log_p, r, near, scope="mean")
    assert close.kl_used.mean().item() == pytest.approx(near.item(), rel=1e-14)


@QUICK
@given(row=rows(), share=shares, low=st.booleans())
def test_rewards(row: tuple[Tensor, Tensor], share: float, low: bool) -> None:
    log_p, r = row
    exact = Exact(log_p.tolist(), r.tolist())
    mean, edge = float(exact.reward(0)), (r.min() if low else r.max()).item()
    wanted = mean + share * (edge - mean)
    s = tilting.solve_beta_for_reward(log_p, r, wanted)
    assert s.iterations.item() <= 25
    if bool(s.saturated):  # rounded onto the edge
        assert wanted == edge
        return
    assert (s.beta.item() < 0) == low
    # In units of the distance to the nearer end, which float64 knows to this precision.
    room = min(abs(wanted - mean), abs(edge - wanted))
    scale = abs(wanted) + (r.max() - r.min()).item()
    assert abs(float(exact.reward(s.beta.item()) - wanted)) <= 1e-9 * room + 1e-15 * scale


@pytest.mark.parametrize("share", [0.05, 0.4, 0.99])
def test_rewards_of_laws_that_no_float64_holds(share: float) -> None:
    log_p, r = torch.randn(2, 500, dtype=torch.float64)
    log_p = log_p * 400
    wanted = r.min() + share * (r.max() - r.min())
    s = tilting.solve_beta_for_reward(log_p, r, wanted)
    assert s.reward.item() == pytest.approx(wanted.item(), abs=1e-12)
    true = Exact(log_p.tolist(), r.tolist()).reward(s.beta.item())
    assert float(true) == pytest.approx(wanted.item(), abs=1e-9)


def test_rewards_out_of_range() -> None:
    log_p, r = doubles(-0.5, -1.5, -2.5), doubles(0.0, 1.0, 2.0)
    s = tilting.solve_beta_for_reward(log_p, r, doubles(-1.0, 0.0, 2.0, 3.0))
    assert s.beta.tolist() == [-INF, -INF, INF, INF]
    assert s.saturated.all()
    assert s.impossible.tolist() == [True, False, False, True]
    assert s.reward.tolist() == [0.0, 0.0, 2.0, 2.0]
    flat = tilting.solve_beta_for_reward(log_p, r * 0 + 4, doubles(4.0, 5.0))
    assert flat.constant.all()
    assert flat.impossible.tolist() == [False, True]
    hard = tilting.solve_beta_for_reward(log_p, doubles(-INF, 1.0, 2.0), doubles(1.1, 1.9))
    assert hard.impossible.tolist() == [True, False]
    assert hard.beta[1].item() > 0


def test_shapes_and_dtypes() -> None:
    log_p, r = torch.randn(5, 1, 7), torch.randn(3, 7)
    s = tilting.solve_beta_for_kl(log_p, r, torch.rand(2, 1, 1) / 10)
    assert s.beta.shape == (2, 5, 3)
    assert s.beta.dtype == torch.float64
    wide = tilting.solve_beta_for_kl(log_p.double(), r.double(), s.kl_used)
    assert wide.beta.flatten().tolist() == pytest.approx(s.beta.flatten().tolist(), rel=1e-9)
    half = tilting.tilt_stats(log_p.bfloat16(), r.bfloat16(), 1.0)
    assert half.kl.shape == (5, 3)
    f = tilting.reward_kl_frontier(None, r, beta=torch.linspace(0, 2, 4))
    assert f.ess.shape == (3, 4)
    q = tilting.tilt(None, r, 2.0).log_q.exp()
    assert f.ess[:, 3].tolist() == pytest.approx((1 / (q.square() * 7).sum(-1)).tolist())
    end = tilting.reward_kl_frontier(None, r, kl=9.0)
    assert end.ess[:, 0].tolist() == pytest.approx([1 / 7] * 3)
    assert tilting.tilt_stats(log_p[:0], r, 1.0).kl.shape == (0, 3)
    assert tilting.solve_beta_for_kl(log_p[:0], r, 1.0).beta.shape == (0, 3)


ROW = (doubles(0.0, 0.0), doubles(0.0, 1.0))
BAD = [
    (lambda: tilting.tilt(*ROW), "exactly one of beta .* must be given, got beta = None"),
    (lambda: tilting.tilt(*ROW, 1.0, kl_coef=1.0), "exactly one of beta"),
    (lambda: tilting.tilt_stats(*ROW, 1.0, kl_coef=1.0), "exactly one of beta"),
    (lambda: tilting.tilt(*ROW, kl_coef=0.0), "kl_coef must be nonzero"),
    (lambda: tilting.tilt(*ROW, math.nan), "beta must be without NaN"),
    (lambda: tilting.tilt(*ROW, True), "beta must be a number"),
    (lambda: tilting.tilt(*ROW, "x"), "beta must be a number"),
    (lambda: tilting.tilt(ROW[0], doubles(0.0, math.nan), 1.0), r"r must be without NaN, .* \[1\]"),
    (lambda: tilting.tilt(doubles(math.nan, 0.0), ROW[1], 1.0), "log_p must be without NaN"),
    (lambda: tilting.tilt(doubles(-INF, -INF), ROW[1], 1.0), "log_p must be > -inf for some"),
    (lambda: tilting.tilt(doubles(INF, 0.0), ROW[1], 1.0), "log_p must be < inf"),
    (
        lambda: tilting.tilt(ROW[0], doubles(0.0, INF), 1.0),
        r"r must be finite .*, got inf at \[1\]",
    ),
    (lambda: tilting.tilt(ROW[0], doubles(0.0, -INF), -1.0), "r must be finite"),
    (lambda: tilting.tilt(ROW[0], doubles(-INF, -INF), 1.0), "r must be finite for some outcome"),
    (lambda: tilting.tilt(ROW[0], [0.0, 1.0], 1.0), "r must be a floating-point Tensor, got list"),
    (lambda: tilting.tilt(ROW[0], doubles(), 1.0), "r must be .* with V >= 1"),
    (lambda: tilting.tilt(ROW[0], torch.zeros(3), 1.0), "r must be .* with V = 2"),
    (
        lambda: tilting.tilt(ROW[0], torch.zeros(3, 2), doubles(1, 2)),
        "leading dimensions must broadcast",
    ),
    (lambda: tilting.solve_beta_for_kl(*ROW, -1.0), "kl must be >= 0, got -1.0"),
    (lambda: tilting.solve_beta_for_kl(*ROW, math.nan), "kl must be without NaN"),
    (lambda: tilting.solve_beta_for_kl(*ROW, 1.0, scope="x"), "scope must be one of"),
    (lambda: tilting.solve_beta_for_kl(*ROW, 1.0, side="x"), "side must be one of"),
    (lambda: tilting.solve_beta_for_kl(*ROW, doubles(1, 2), scope="mean"), "kl must be one number"),
    (lambda: tilting.solve_beta_for_kl(ROW[0], doubles(0.0, INF), 1.0), "r must be < inf on"),
    (lambda: tilting.solve_beta_for_kl(ROW[0], doubles(0.0, -INF), 1.0, side="min"), "r must be >"),
    (lambda: tilting.solve_beta_for_reward(*ROW, INF), "reward must be finite"),
    (lambda: tilting.reward_kl_frontier(*ROW, kl=1.0, beta=1.0), "at most one of kl and beta"),
    (lambda: tilting.optimality_gap(*ROW, -1.0, 0.0), "kl must be >= 0"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_refusals(call: object, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"^tilting\.\w+: {message}"):
        call()
