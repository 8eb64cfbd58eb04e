"""Dynamic temperature: each row has its own τ, and everything else is as if that had been given."""

import math

import pytest
import torch
from support.cases import (
    ADAPTORS,
    DTYPES,
    HOSTILE,
    check_step,
    crossed,
    distinct,
    hostile,
    randn,
    rng,
)
from support.cases import uniforms as make_uniforms
from support.oracle import chi_square_p, kept, law
from support.tiny_tables import LMS, TinyLM, score_strings
from torch import Tensor

import aligndec as ad
from aligndec.testing import masses

RANGES = ((0.5, 1.5, 1.0), (0.7, 0.7, 3.0), (0.2, 4.0, 0.5), (1e-3, 1e3, 2.0))
CUTS = ("identity", "top_p", "typical", "min_p", "p_less", "top_h", "top_a", "sigma", "all")


def every() -> list[ad.Adaptor]:
    cuts = [
        {k: v for k, v in ADAPTORS[name].items() if k != "temperature"} | {"cut_on": on}
        for name in CUTS
        for on in ("scaled", "base")
    ]
    return [
        ad.Adaptor(dynamic_temperature=RANGES[i % len(RANGES)], **cut) for i, cut in enumerate(cuts)
    ]


def temperatures(x: Tensor, low: float, high: float, exponent: float) -> list[float]:
    """τ of every row in float64, from the definition."""
    p = x.double().softmax(1)
    entropy = -(p * p.log()).nansum(1)
    n = x.isfinite().sum(1)
    both = zip(entropy.tolist(), n.tolist(), strict=True)
    share = [h / math.log(k) if k > 1 else 0.0 for h, k in both]
    return [low + (high - low) * s**exponent for s in share]


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("dynamic", RANGES[:3])
@pytest.mark.parametrize("cut", [{}, {"top_p": 0.8}, {"top_h": 0.6, "cut_on": "base"}])
def test_against_float64(dynamic: tuple, cut: dict) -> None:
    x = distinct(12, 60, 3, 2.0) * torch.linspace(0.2, 2, 12)[:, None]
    step_of = ad.Adaptor(dynamic_temperature=dynamic, **cut)
    mask = ad.kept_mask(x, step_of)
    token = torch.rand(mask.shape, generator=rng(3)).masked_fill(~mask, -1).argmax(1)
    step = ad.score(x, token, step_of)
    for i, tau in enumerate(temperatures(x, *dynamic)):
        row = x[i : i + 1].double()
        expected = kept(row, temperature=tau, **cut)
        if not expected.safe.item():
            continue
        assert torch.equal(mask[i], expected.mask[0])
        numbers = law(row, expected.mask, tau, token[i : i + 1])
        for name in numbers._fields:
            error = abs(getattr(step, name)[i].item() - getattr(numbers, name).item())
            assert error <= 5e-6 * max(1, tau, 1 / tau), name


@pytest.mark.usefixtures("backend")
def test_entropy_between_its_ends() -> None:
    """Equal logits have the highest temperature, a certain token the lowest, and so has one."""
    x = torch.tensor([[0.0] * 8, [0.0] + [-50.0] * 7, [3.0] + [-math.inf] * 7])
    adaptor = ad.Adaptor(dynamic_temperature=(0.5, 2.0, 1.0))
    warm, cold = (ad.Adaptor(temperature=t) for t in (2.0, 0.5))
    token = torch.tensor([1, 1, 0])
    step, expected = (ad.score(x, token, a) for a in (adaptor, [warm, cold, cold]))
    torch.testing.assert_close(step.log_q, expected.log_q, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", HOSTILE)
def test_kernel_equals_reference(name: str, dtype: torch.dtype, native_device: str) -> None:
    x, adaptors = crossed(hostile(name, dtype), every())
    u = make_uniforms(len(x))
    with ad.use_backend("reference"):
        expected = ad.sample(x, adaptors, uniforms=u)
        weights = masses(x, adaptors)
    with ad.use_backend("native"):
        step = ad.sample(x.to(native_device), adaptors, uniforms=u.to(native_device))
        check_step(step, expected, 1e-12)
        for a, b in zip(masses(x.to(native_device), adaptors), weights, strict=True):
            assert torch.equal(a.cpu(), b)


@pytest.mark.usefixtures("backend")
def test_grid_mask_and_long_rows() -> None:
    x = randn(2, 1500, 5)
    token = torch.tensor([3, 700])
    grid = ad.score_grid(x, token, every())
    for i, adaptor in enumerate(every()):
        one = ad.score(x, token, adaptor)
        check_step(ad.Step(*(f[i] for f in grid)), one)
        assert torch.equal(ad.kept_mask(x, adaptor).sum(1), one.n_kept)


@pytest.mark.parametrize("lm", LMS.values(), ids=LMS)
def test_strings_have_one_law(lm: TinyLM) -> None:
    """Over all strings: the law sums to one, and the chain rule of the KL holds."""
    for cut in ({}, {"top_k": 2}, {"top_h": 0.7}):
        adaptor = ad.Adaptor(dynamic_temperature=(0.4, 2.0, 1.5), **cut)
        state = score_strings(lm, adaptor, torch.float64)
        q = state.sum_log_q.exp()
        assert q.sum().item() == pytest.approx(1.0, abs=1e-10)
        inside = q > 0
        kl = (q * (state.sum_log_q - state.sum_log_p))[inside].sum()
        assert (q * state.sum_kl).sum().item() == pytest.approx(kl.item(), abs=1e-10)


@pytest.mark.statistical
@pytest.mark.usefixtures("native")
def test_law_of_one_step() -> None:
    x, draws, dynamic = randn(1, 12, 3, 2.0), 100_000, (0.3, 2.0, 1.0)
    adaptor = ad.Adaptor(dynamic_temperature=dynamic)
    token = ad.sample(x.expand(draws, -1), adaptor, seed=1, positions=0).token
    observed = torch.bincount(token, minlength=12)
    (tau,) = temperatures(x, *dynamic)
    assert chi_square_p(observed, (x.double() / tau).softmax(1)[0]) > 1e-6
    # Controls: no temperature, and one a little off.
    assert abs(tau - 1) > 0.05
    for wrong in (1.0, 1.05 * tau):
        assert chi_square_p(observed, (x.double() / wrong).softmax(1)[0]) < 1e-9


def numbers(x: Tensor, token: Tensor, adaptor: ad.Adaptor) -> tuple[Tensor, ...]:
    step = ad.reference.score(x, token, adaptor)
    return step.log_p, step.log_q, step.log_z


@pytest.mark.parametrize("dynamic", [(0.5, 1.5, 1.0), (0.3, 3.0, 2.5), (0.7, 1.6, 0.4)])
@pytest.mark.parametrize("cut", [{}, {"top_k": 4}, {"min_p": 0.1, "cut_on": "base"}])
def test_gradient_reaches_the_temperature(dynamic: tuple, cut: dict) -> None:
    adaptor = ad.Adaptor(dynamic_temperature=dynamic, **cut)
    x = distinct(3, 9, 5, 1.0).double().requires_grad_()
    token = x.argmax(1)
    torch.autograd.gradcheck(lambda x: numbers(x, token, adaptor), x)


@pytest.mark.usefixtures("native")
def test_native_gradient_equals_the_reference() -> None:
    token = torch.tensor([3, 5, 0, 9, 2])
    for adaptor in every()[:-2]:
        if adaptor.dynamic_temperature == RANGES[3]:
            continue  # float32 is too narrow for τ = 1e-3
        grads = []
        for backend in ("reference", "native"):
            with ad.use_backend(backend):
                x = randn(5, 130, 1, 1.0).requires_grad_()
                step = ad.score(x, token, adaptor)
                inside = step.log_q.masked_fill(step.status == 3, 0.0)
                (step.log_p + 2 * inside - step.log_z).sum().backward()
                grads.append(x.grad)
        torch.testing.assert_close(grads[1], grads[0], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("value", [(1.0, 0.5, 1.0), (1e-4, 1.0, 1.0), (0.5, 1e4, 1.0), (0.5, 1, 0)])
def test_ranges(value: tuple) -> None:
    with pytest.raises(ValueError, match=r"^Adaptor: dynamic_temperature must be .*, got "):
        ad.Adaptor(dynamic_temperature=value)


def test_types_and_company() -> None:
    for value in (0.5, (0.5, 1.0), ("a", 1.0, 1.0), (True, 1.0, 1.0)):
        with pytest.raises(TypeError, match=r"^Adaptor: dynamic_temperature must be .*, got "):
            ad.Adaptor(dynamic_temperature=value)
    for t in (0.0, 0.7):
        with pytest.raises(ValueError, match=r"^Adaptor: temperature must be 1 .*, got "):
            ad.Adaptor(temperature=t, dynamic_temperature=(0.5, 1.5, 1.0))
    with pytest.raises(ValueError, match="dynamic_temperature"):
        ad.Adaptor(mirostat_tau=2.0, dynamic_temperature=(0.5, 1.5, 1.0))
    assert ad.Adaptor(dynamic_temperature=[0.5, 1.5, 1]).dynamic_temperature == (0.5, 1.5, 1.0)
