"""Rates, Rényi quantities, long strings and chains: by hand, by enumeration, in the limit."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.tilt_oracle import QUICK, doubles, rows
from torch import Tensor

from aligndec import asymptotics, best_of_n, tilting

INF = math.inf
LETTERS = doubles(0.5, 0.3, 0.2).log(), doubles(0.0, 1.0, 3.0)


def strings(log_p: Tensor, r: Tensor, m: int) -> tuple[Tensor, Tensor]:
    """Law and total reward of every string of m tokens."""
    index = torch.tensor(list(itertools.product(range(len(r)), repeat=m)))
    return log_p[index].sum(1), r[index].sum(1)


@QUICK
@given(row=rows(), other=rows(), alpha=st.floats(0, 6), beta=st.floats(-1, 2))
def test_renyi(
    row: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor], alpha: float, beta: float
) -> None:
    n = min(len(row[0]), len(other[0]))
    p, q = row[0][:n].softmax(0), other[0][:n].softmax(0)
    log_p, log_q = p.log(), q.log()
    cross = asymptotics.renyi_cross_entropy
    if abs(alpha - 1) > 1e-3:
        value = (p * q ** (alpha - 1)).sum().log() / (1 - alpha)
        assert cross(log_p, log_q, alpha).item() == pytest.approx(value.item(), rel=1e-9)
        value = (p**alpha * q ** (1 - alpha)).sum().log() / (alpha - 1)
        ours = asymptotics.renyi_divergence(log_p, log_q, alpha).item()
        assert ours == pytest.approx(value.item(), rel=1e-9, abs=1e-12)
    for order, value in (
        (0, (p / q).sum().log()),
        (1, -(p * log_q).sum()),
        (INF, -log_q.max()),
    ):
        assert cross(log_p, log_q, order).item() == pytest.approx(value.item(), rel=1e-12)
    near = cross(log_p, log_q, doubles(1 - 1e-9, 1.0, 1 + 1e-9))
    assert near.tolist() == pytest.approx([near[1].item()] * 3, rel=1e-7)
    # The scaled cumulants of r = ln q are those cross entropies.
    if abs(beta) > 1e-3:
        moment = asymptotics.cgf(log_p, log_q, beta).item()
        by_order = -beta * cross(log_p, log_q, 1 + beta).item()
        assert moment == pytest.approx(by_order, rel=1e-9)


def test_renyi_on_different_supports() -> None:
    p, q = doubles(0.5, 0.5, 0.0).log(), doubles(0.25, 0.0, 0.75).log()
    div, cross = asymptotics.renyi_divergence, asymptotics.renyi_cross_entropy
    assert div(p, q, doubles(0.0, 0.5)).tolist() == pytest.approx(
        [-math.log(0.25), -2 * math.log(math.sqrt(0.125))]
    )
    assert div(p, q, doubles(1.0, 2.0, INF)).tolist() == [INF] * 3
    assert cross(p, q, doubles(0.0, 1.0)).tolist() == [INF] * 2
    assert cross(p, q, doubles(2.0, INF)).tolist() == pytest.approx(
        [-math.log(0.125), -math.log(0.25)]
    )
    disjoint = doubles(0.0, 0.0, 1.0).log()
    assert div(p, disjoint, doubles(0.0, 0.5, 1.0, 2.0, INF)).tolist() == [INF] * 5
    assert cross(p, disjoint, doubles(0.0, 1.0, 2.0, INF)).tolist() == [INF] * 4
    orders = doubles(0.0, 0.3, 1.0, 4.0, INF)
    assert div(p, p, orders).tolist() == [0.0] * 5
    assert cross(p, p, orders).tolist() == pytest.approx([math.log(2)] * 5)


@QUICK
@given(row=rows(), beta=st.floats(-1.5, 1.5), share=st.floats(-1.0, 1.0))
def test_rate_function_is_the_conjugate(
    row: tuple[Tensor, Tensor], beta: float, share: float
) -> None:
    log_p, r = row
    mean = tilting.tilt_stats(log_p, r, beta).reward.item()
    t = mean + abs(share) * 0.98 * ((r.max() if share > 0 else r.min()).item() - mean)
    rate = asymptotics.rate_function(log_p, r, t, beta).item()
    rho = torch.linspace(-30, 30, 401, dtype=torch.float64)
    grid = rho * t - asymptotics.cgf(log_p, r, rho, beta)
    assert rate >= grid.max().item() - 1e-9
    s = tilting.solve_beta_for_reward(log_p, r, t).beta.item()
    at = (s - beta) * t - asymptotics.cgf(log_p, r, s - beta, beta).item()
    assert rate == pytest.approx(at, rel=1e-7, abs=1e-9)
    free = asymptotics.rate_function(log_p, r, t).item()
    z = tilting.tilt_stats(log_p, r, beta).log_z.item()
    assert rate == pytest.approx(free - beta * t + z, rel=1e-7, abs=1e-9)


def test_rate_function_at_the_ends() -> None:
    log_p, r = LETTERS
    rate = asymptotics.rate_function(log_p, r, doubles(-1.0, 0.0, 0.9, 3.0, 3.1))
    assert rate.tolist() == pytest.approx(
        [INF, -math.log(0.5), 0.0, -math.log(0.2), INF], abs=1e-15
    )
    law = tilting.tilt(log_p, r, 0.4).log_q
    assert asymptotics.rate_function(log_p, r, 3.0, 0.4).item() == pytest.approx(-law[2].item())


@pytest.mark.parametrize("n", [1.0, 2.0, 7.5, 1e4, 1e9])
def test_strings_by_enumeration(n: float) -> None:
    log_p, r = LETTERS
    for m in (1, 2, 5):
        joint, total = strings(log_p, r, m)
        law = best_of_n.pmf(joint, total, n)
        out = asymptotics.memoryless_best_of_n(log_p, r, m, n=n)
        assert out.reward.item() == pytest.approx((law.exp() * total).sum().item(), rel=1e-11)
        assert out.kl.item() == pytest.approx(best_of_n.kl(joint, total, n).item(), rel=1e-10)
        best = tilting.solve_beta_for_kl(log_p, r, math.log(n) / m).beta
        tilt = tilting.tilt(joint, total, best).log_q
        away = torch.where(law > -INF, law.exp() * (law - tilt), 0.0).sum().item()
        expected = away if bool(best.isfinite()) else INF
        assert out.kl_to_tilt.item() == pytest.approx(expected, rel=1e-8, abs=1e-12)


def test_best_of_n_approaches_the_optimum() -> None:
    """Per token the divergence vanishes; for the string it grows like ½ ln m."""
    log_p, r = LETTERS
    delta = 0.1
    beta = tilting.solve_beta_for_kl(log_p, r, delta)
    stats = tilting.tilt_stats(log_p, r, beta.beta)
    lengths = [100, 300, 1000, 3000]
    out = [asymptotics.memoryless_best_of_n(log_p, r, m, delta=delta) for m in lengths]
    away = [x.kl_to_tilt.item() for x in out]
    per_token = [x / m for x, m in zip(away, lengths, strict=True)]
    assert per_token == sorted(per_token, reverse=True)
    assert per_token[-1] < 2e-3
    steps = [b - a for a, b in itertools.pairwise(away)]
    growth = [0.5 * math.log(b / a) for a, b in itertools.pairwise(lengths)]
    assert steps == pytest.approx(growth, abs=0.05)
    euler = 0.5772156649015329
    sigma = (2 * math.pi * lengths[-1] * stats.reward_var.item()) ** 0.5 * beta.beta.item()
    # The formula of continuous rewards: the lattice moves it by O(beta · step).
    assert away[-1] == pytest.approx(math.log(sigma) - euler - 1, abs=0.1)
    assert out[-1].reward.item() / lengths[-1] == pytest.approx(beta.reward.item(), rel=1e-2)
    assert out[-1].kl.item() / lengths[-1] == pytest.approx(delta, rel=1e-2)
    # Pythagoras ties the three numbers together.
    for m, x in zip(lengths, out, strict=True):
        missing = m * beta.reward.item() - x.reward.item()
        away_again = x.kl.item() - m * delta + beta.beta.item() * missing
        assert x.kl_to_tilt.item() == pytest.approx(away_again, rel=1e-7, abs=1e-9)


def test_beyond_saturation() -> None:
    log_p, r = LETTERS
    most = -math.log(0.2)
    out = asymptotics.memoryless_best_of_n(log_p, r, 60, delta=most + 0.5)
    assert out.reward.item() == pytest.approx(180.0, rel=1e-9)
    assert out.kl.item() == pytest.approx(60 * most, rel=1e-9)
    flat = asymptotics.memoryless_best_of_n(log_p, r * 0 + 2, 10, n=50.0)
    assert (flat.reward.item(), flat.kl.item(), flat.kl_to_tilt.item()) == (20.0, 0.0, 0.0)


@pytest.mark.parametrize("beta", [0.0, 0.4, -0.7])
def test_tails_by_enumeration(beta: float) -> None:
    log_p, r = LETTERS
    m = 6
    joint, total = strings(log_p, r, m)
    law = tilting.tilt(joint, total, beta).log_q
    for t in (-0.5, 0.0, 0.3, 0.9, 1.5, 2.0, 2.5, 3.0, 3.2):
        out = asymptotics.memoryless_tail(log_p, r, m, t, beta=beta)
        exact = law[total >= m * t - 1e-9].logsumexp(0).item() if t <= 3 else -INF
        assert out.exact.item() == pytest.approx(exact, rel=1e-10, abs=1e-12)
        assert out.exact.item() <= out.ldp.item() + 1e-12, "Chernoff"
    assert not any(field.isnan().any() for field in out)


def test_tails_of_long_strings() -> None:
    """m = 2000: the slope is 0.24543 against a rate of 0.24345, the prefactor explains it."""
    log_p, r = LETTERS
    out = asymptotics.memoryless_tail(log_p, r, 2000, doubles(2.4, 1.0), beta=0.4)
    assert out.exact[0].item() / -2000 == pytest.approx(0.24543, abs=5e-6)
    assert out.ldp[0].item() / -2000 == pytest.approx(0.24345, abs=5e-6)
    assert out.bahadur_rao[0].item() - out.exact[0].item() == pytest.approx(8e-4, abs=1e-4)
    assert (out.exact[1].item(), out.ldp[1].item()) == (pytest.approx(0.0, abs=1e-9), 0.0)


def test_lattices() -> None:
    log_p = doubles(0.2, 0.5, 0.3).log()
    tenths = asymptotics.memoryless_best_of_n(log_p, doubles(0.1, 0.4, -0.2), 12, n=9.0)
    whole = asymptotics.memoryless_best_of_n(log_p, doubles(1.0, 2.0, 0.0), 12, n=9.0)
    assert tenths.kl.item() == pytest.approx(whole.kl.item(), rel=1e-12)
    assert tenths.reward.item() == pytest.approx(whole.reward.item() * 0.3 - 12 * 0.2, rel=1e-11)
    batch = asymptotics.memoryless_best_of_n(torch.stack([log_p, log_p]), doubles(1, 2, 0), 3, n=2)
    assert batch.kl.shape == (2,)


def test_markov_chain_without_memory() -> None:
    """Equal rows are the memoryless case: Λ(β) = ln ρ."""
    log_p, r = LETTERS
    out = asymptotics.markov_tilt(log_p.expand(3, 3), r.expand(3, 3), 0.7)
    tilt = tilting.tilt(log_p, r, 0.7)
    assert out.log_rho.item() == pytest.approx(tilt.log_z.item(), rel=1e-13)
    assert out.log_transition[1].tolist() == pytest.approx(tilt.log_q.tolist(), rel=1e-12)
    assert out.stationary.tolist() == pytest.approx(tilt.log_q.exp().tolist(), rel=1e-12)
    assert out.reward_rate.item() == pytest.approx(tilt.reward.item(), rel=1e-12)
    assert out.kl_rate.item() == pytest.approx(tilt.kl.item(), rel=1e-12)


@pytest.mark.parametrize("periodic", [False, True])
def test_markov_chain(periodic: bool) -> None:
    log_p, r = torch.randn(5, 5, dtype=torch.float64) * 2, torch.randn(5, 5, dtype=torch.float64)
    if periodic:
        parity = torch.arange(5) % 2
        log_p[parity[:, None] == parity] = -INF
    values = {b: asymptotics.markov_tilt(log_p, r, b) for b in (0.8 - 1e-5, 0.8, 0.8 + 1e-5)}
    low, at, high = values.values()
    a = (log_p.log_softmax(1) + 0.8 * r).exp()
    assert at.log_rho.item() == pytest.approx(torch.linalg.eigvals(a).abs().max().log().item())
    q = at.log_transition.exp()
    assert torch.allclose(q.sum(1), torch.ones(5).double())
    assert torch.allclose(at.stationary @ q, at.stationary)
    slope = (high.log_rho - low.log_rho).item() / 2e-5
    assert at.reward_rate.item() == pytest.approx(slope, rel=1e-6)
    assert at.kl_rate.item() == pytest.approx(0.8 * slope - at.log_rho.item(), rel=1e-5)


BAD = [
    (lambda: asymptotics.memoryless_best_of_n(*LETTERS, 5), "exactly one of n and delta"),
    (lambda: asymptotics.memoryless_best_of_n(*LETTERS, 5, n=2, delta=1.0), "exactly one of n"),
    (lambda: asymptotics.memoryless_best_of_n(*LETTERS, 0, n=2), "m must be >= 1"),
    (lambda: asymptotics.memoryless_best_of_n(*LETTERS, 5, n=0.5), "n must be >= 1"),
    (lambda: asymptotics.memoryless_best_of_n(*LETTERS, 5, delta=-0.5), "delta must be >= 0"),
    (
        lambda: asymptotics.memoryless_best_of_n(LETTERS[0], doubles(0, 1, math.pi), 5, n=2),
        "r must be origin",
    ),
    (lambda: asymptotics.cgf(LETTERS[0], doubles(0, 1, INF), 1.0), "r must be finite"),
    (lambda: asymptotics.renyi_divergence(LETTERS[0], LETTERS[0], -1), "alpha must be >= 0"),
    (
        lambda: asymptotics.markov_tilt(torch.eye(2).log(), torch.zeros(2, 2), 1.0),
        "log_transition must be irreducible",
    ),
    (lambda: asymptotics.markov_tilt(torch.zeros(2, 3), torch.zeros(2, 3), 1.0), "log_transition"),
]


@pytest.mark.parametrize(("call", "message"), BAD)
def test_refusals(call: object, message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=rf"^asymptotics\.\w+: {message}"):
        call()
