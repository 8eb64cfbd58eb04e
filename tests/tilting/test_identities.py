"""The identities between the numbers of a tilted law, on generated rows."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.tilt_oracle import QUICK, Exact, doubles, rows
from torch import Tensor

from aligndec import asymptotics, tilting

INF = math.inf
betas = st.floats(0.02, 3.0) | st.floats(-3.0, -0.02)
pytestmark = pytest.mark.usefixtures("backend")


def close(a: Tensor, b: Tensor, tolerance: float = 1e-10) -> bool:
    """Equal up to `tolerance` of the larger one, and of 1."""
    return bool(((a - b).abs() <= tolerance * (1 + torch.maximum(a.abs(), b.abs()))).all())


def divergence(log_q: Tensor, log_p: Tensor) -> Tensor:
    q = log_q.exp()
    return torch.where(q > 0, q * (log_q - log_p), 0.0).sum(-1)


def test_by_hand() -> None:
    # p = (1/2, 1/4, 1/4), r = (0, 1, 1), beta = ln 2: φ = (1/3, 1/3, 1/3), Z = 3/2.
    log_p, r = doubles(0.5, 0.25, 0.25).log(), doubles(0.0, 1.0, 1.0)
    t = tilting.tilt(log_p, r, math.log(2))
    kl = math.log(2 / 3) / 3 + 2 * math.log(4 / 3) / 3
    reverse = math.log(3 / 2) / 2 + math.log(3 / 4) / 2
    assert close(t.log_q.exp(), doubles(1, 1, 1) / 3)
    numbers = (math.log(1.5), 2 / 3, 2 / 9, kl, reverse)
    for ours, value in zip(t[1:], numbers, strict=True):
        assert ours.item() == pytest.approx(value, rel=1e-14)
    for ours, value in zip(tilting.tilt_stats(log_p, r, math.log(2)), numbers, strict=True):
        assert ours.item() == pytest.approx(value, rel=1e-14)


@QUICK
@given(row=rows(), beta=betas)
def test_derivatives(row: tuple[Tensor, Tensor], beta: float) -> None:
    """I1, I2, I3 by automatic differentiation of tilt."""
    log_p, r = row
    b = torch.tensor(beta, dtype=torch.float64, requires_grad=True)
    t = tilting.tilt(log_p, r, b)
    for value, slope in ((t.log_z, t.reward), (t.reward, t.reward_var), (t.kl, b * t.reward_var)):
        (grad,) = torch.autograd.grad(value, b, retain_graph=True)
        assert close(grad, slope)
    d_kl, d_reward = (torch.autograd.grad(x, b, retain_graph=True)[0] for x in (t.kl, t.reward))
    assert close(d_reward, d_kl / beta)


@QUICK
@given(row=rows(), beta=betas, s=betas, alpha=st.floats(0.1, 4.0))
def test_algebra(row: tuple[Tensor, Tensor], beta: float, s: float, alpha: float) -> None:
    """I2, I4–I7: one Λ gives everything."""
    log_p, r = row
    t, u = tilting.tilt(log_p, r, beta), tilting.tilt(log_p, r, s)
    mean = (log_p.exp() * r).sum()
    assert close(t.kl, beta * t.reward - t.log_z)
    assert close(t.kl, divergence(t.log_q, log_p))
    assert close(t.reverse_kl, t.log_z - beta * mean)
    assert close(t.reverse_kl, divergence(log_p, t.log_q))
    assert close(beta * (t.reward - mean), t.kl + t.reverse_kl)
    between = (s - beta) * u.reward - u.log_z + t.log_z
    assert close(divergence(u.log_q, t.log_q), between)
    if abs(alpha - 1) > 0.05:
        scaled = tilting.tilt_stats(log_p, r, alpha * beta).log_z
        renyi = (scaled - alpha * t.log_z) / (alpha - 1)
        assert close(asymptotics.renyi_divergence(t.log_q, log_p, alpha), renyi, 1e-8)
    edge = r.max() if beta > 0 else r.min()
    assert close(asymptotics.renyi_divergence(t.log_q, log_p, INF), beta * edge - t.log_z)


@QUICK
@given(row=rows(), other=rows(), beta=betas)
def test_pythagoras(row: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor], beta: float) -> None:
    """KL(ω‖p) = KL(ω‖φ) + KL(φ‖p) + β (E_ω r − E_φ r) for every law ω."""
    n = min(len(row[0]), len(other[0]))
    log_p, r = row[0][:n].log_softmax(0), row[1][:n]
    omega = other[0][:n].log_softmax(0)
    t = tilting.tilt(log_p, r, beta)
    reward = (omega.exp() * r).sum()
    right = divergence(omega, t.log_q) + t.kl + beta * (reward - t.reward)
    assert close(divergence(omega, log_p), right)
    if r.max() == r.min():
        return
    gap = tilting.optimality_gap(log_p, r, divergence(omega, log_p), reward)
    best = tilting.tilt(log_p, r, gap.beta).log_q
    if bool(gap.beta.isfinite()):
        assert close(gap.kl_to_optimal, divergence(omega, best), 1e-8)
        assert close(gap.kl_to_optimal, gap.beta * gap.reward_gap)
    same = tilting.solve_beta_for_reward(log_p, r, reward).beta
    if bool(same.isfinite()):
        assert close(gap.kl_gap, divergence(omega, tilting.tilt(log_p, r, same).log_q), 1e-8)


@QUICK
@given(row=rows(), share=st.floats(1e-3, 0.999))
def test_duality(row: tuple[Tensor, Tensor], share: float) -> None:
    """I3 and the inverse: the rate function of the reward at R(Δ) is Δ."""
    log_p, r = row
    budget = share * tilting.kl_max(log_p, r)
    f = tilting.reward_kl_frontier(log_p, r, kl=budget)
    assert close(f.kl[0], budget)
    assert close(asymptotics.rate_function(log_p, r, f.reward[0]), budget, 1e-8)
    grid = tilting.reward_kl_frontier(log_p, r)
    steps = grid.reward.diff() / grid.kl.diff()
    assert (steps.diff() <= 1e-9 * steps[:-1].abs()).all(), "the frontier is concave"


@QUICK
@given(row=rows(), scale=st.sampled_from([1e-3, 0.5, 8.0, 1e3]), shift=st.integers(-9, 9))
def test_invariance(row: tuple[Tensor, Tensor], scale: float, shift: int) -> None:
    """I10."""
    log_p, r = row
    t, moved = tilting.tilt(log_p, r, 0.7), tilting.tilt(log_p + shift, r * scale, 0.7 / scale)
    assert close(t.log_q, moved.log_q)
    assert close(t.kl, moved.kl)
    offset = tilting.tilt(log_p, r + shift, 0.7)
    assert close(offset.log_z, t.log_z + 0.7 * shift)
    assert close(offset.reward_var, t.reward_var)


def test_small_tilts() -> None:
    """I8 and I9, where every cancelling formula fails; cumulants in exact arithmetic."""
    log_p, r = doubles(-0.3, -1.7, -2.0, -4.0), doubles(0.0, 1.0, 3.0, -2.0)
    exact = Exact(log_p.tolist(), r.tolist())
    mean = sum(p * x for p, x in zip(exact.p, exact.r, strict=True))
    k2, k3, m4 = (
        float(sum(p * (x - mean) ** k for p, x in zip(exact.p, exact.r, strict=True)))
        for k in (2, 3, 4)
    )
    k4 = m4 - 3 * k2**2
    for beta in (1e-3, 1e-6, -1e-6, 1e-9):
        series = k2 * beta**2 / 2 + k3 * beta**3 / 3 + k4 * beta**4 / 8
        s = tilting.tilt_stats(log_p, r, beta)
        assert s.kl.item() == pytest.approx(series, rel=1e-8)
        assert s.kl.item() == pytest.approx(float(exact.kl(beta)), rel=1e-12)
        assert s.reverse_kl.item() == pytest.approx(float(exact.reverse_kl(beta)), rel=1e-11)
    for budget in (1e-6, 1e-9):
        gain = tilting.solve_beta_for_kl(log_p, r, budget).reward.item() - float(mean)
        first = math.sqrt(2 * budget * k2)
        assert gain == pytest.approx(first + k3 / (3 * k2) * budget, rel=1e-5)
        assert abs(gain - first) > 1e-5 * gain or budget < 1e-8


def test_kl_coef_is_the_reciprocal() -> None:
    log_p, r = doubles(-1.0, -2.0, -0.5), doubles(1.0, 0.0, -1.0)
    a, b = tilting.tilt(log_p, r, 4.0), tilting.tilt(log_p, r, kl_coef=0.25)
    assert torch.equal(a.log_q, b.log_q)
    assert torch.equal(
        torch.stack(tilting.tilt_stats(log_p, r, kl_coef=-0.5)),
        torch.stack(tilting.tilt_stats(log_p, r, -2.0)),
    )


def test_infinite_tilts_and_hard_constraints() -> None:
    log_p, r = doubles(0.5, 0.25, 0.125, 0.125).log(), doubles(0.0, 2.0, 2.0, -1.0)
    top = tilting.tilt(log_p, r, INF)
    assert top.log_q.exp().tolist() == pytest.approx([0, 2 / 3, 1 / 3, 0])
    assert top.kl.item() == pytest.approx(-math.log(0.375))
    assert (top.reward.item(), top.reward_var.item(), top.reverse_kl.item()) == (2.0, 0.0, INF)
    assert tilting.tilt(log_p, r, -INF).reward.item() == -1.0
    hard = doubles(0.0, 2.0, -INF, -INF)
    t = tilting.tilt(log_p, hard, 1.0)
    given_live = tilting.tilt(log_p[:2], hard[:2], 1.0)
    assert t.log_q[:2].tolist() == pytest.approx(given_live.log_q.tolist())
    assert t.kl.item() == pytest.approx(given_live.kl.item() - math.log(0.75))
    assert t.reverse_kl.item() == INF
    none = tilting.tilt(log_p, hard, 0.0)
    assert none.log_q.tolist() == pytest.approx(log_p.tolist())
    assert (none.reward.item(), none.kl.item()) == (-INF, 0.0)
    absent = tilting.tilt(doubles(0.0, 0.0, -INF), doubles(1.0, 2.0, INF), 1.0)
    assert absent.reward.item() == pytest.approx((1 + 2 * math.e) / (1 + math.e))
    for s, full in zip(tilting.tilt_stats(log_p, hard, 1.0), t[1:], strict=True):
        assert s.item() == pytest.approx(full.item())
    for beta in (INF, -INF, 0.0):
        stats, full = tilting.tilt_stats(log_p, r, beta), tilting.tilt(log_p, r, beta)
        assert [x.item() for x in stats] == pytest.approx([x.item() for x in full[1:]])


def test_gradients() -> None:
    log_p = torch.randn(2, 6, dtype=torch.float64, requires_grad=True)
    r = torch.randn(2, 6, dtype=torch.float64, requires_grad=True)
    beta = torch.tensor([[0.7], [-1.3], [0.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda *x: tuple(tilting.tilt(*x)), (log_p, r, beta))
