"""Gradients under a bias and with given sets; log_kept has one where the set is given."""

import pytest
import torch
from support.cases import DTYPES, INF, randn, rng
from support.sparse_cases import edited, random_bias, random_sets
from torch import Tensor

import aligndec as ad

HEADS = ("log_p", "log_q", "log_z", "log_kept")


def four(step: ad.Step) -> Tensor:
    return torch.stack([getattr(step, name) for name in HEADS])


@pytest.mark.parametrize("tau", [1.0, 0.7, 1.6])
@pytest.mark.parametrize("biased", [False, True])
def test_gradcheck_of_the_reference(tau: float, biased: bool) -> None:
    x, sets = randn(6, 9, 1, 1.0).double(), random_sets(6, 9, 2)
    bias = random_bias(6, 9, 3, scale=1.0) if biased else None
    sets = sets._replace(complete=torch.ones(6, dtype=torch.bool))
    token = sets.mask(9).int().argmax(1)

    def numbers(x: Tensor) -> Tensor:
        step = ad.reference.score(
            x, token, ad.Adaptor(temperature=tau), kept=sets, bias=bias, strict=False
        )
        known = four(step)
        return known[known.isfinite()]

    torch.autograd.gradcheck(numbers, x.requires_grad_())


def definition(
    x: Tensor, z: Tensor, mask: Tensor, token: Tensor, tau: float, grad: Tensor
) -> Tensor:
    """The four gradients written out in float64; `grad` [4, N], its log_kept part of given sets."""
    x, z = x.double(), z.double() / tau
    p, s = x.softmax(1), z.softmax(1)
    q = z.masked_fill(~mask, -INF).softmax(1)
    hot = torch.nn.functional.one_hot(token, x.shape[1])
    g = grad.unsqueeze(-1)
    return g[0] * (hot - p) + (g[1] * (hot - q) + g[2] * (q - p) + g[3] * (q - s)) / tau


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tau", [1.0, 0.7])
@pytest.mark.parametrize("kind", ["kept", "bias", "both"])
def test_gradient_is_the_formula(kind: str, tau: float, dtype: torch.dtype) -> None:
    x, sets, bias = randn(8, 333, 1).to(dtype), random_sets(8, 333, 2, most=60), None
    sets = ad.KeptSets.from_mask(sets.mask(333) | torch.eye(8, 333, dtype=torch.bool))
    options: dict[str, object] = {"kept": sets}
    mask, z = sets.mask(333), x.float()
    if kind != "kept":
        bias = random_bias(8, 333, 3, most=90, scale=1.0)
        bias = bias._replace(values=bias.values.masked_fill(bias.ids < 8, 0.5))
        options["bias"], z = bias, edited(x, bias)
    adaptor = ad.Adaptor(temperature=tau)
    if kind == "bias":
        del options["kept"]
        adaptor = ad.Adaptor(temperature=tau, top_k=50)
        mask = ad.kept_mask(z, adaptor)
    token = torch.where(mask, z, -INF).argmax(1)
    grad = torch.randn(4, 8, generator=rng(2), dtype=torch.float64)
    x.requires_grad_()
    step = ad.score(x, token, adaptor, **options)
    assert step.log_kept.requires_grad == (kind != "bias")
    heads = 3 if kind == "bias" else 4
    grad[heads:] = 0.0
    four(step)[:heads].backward(grad[:heads])
    expected = definition(x.detach(), z, mask & (z > -INF), token, tau, grad)
    atol = 1e-5 if dtype == torch.float32 else 2 * torch.finfo(dtype).eps
    torch.testing.assert_close(x.grad.double(), expected, rtol=atol, atol=atol)


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("tau", [1.0, 0.7, 0.0])
@pytest.mark.parametrize("biased", [False, True])
def test_native_backward_equals_the_reference(tau: float, biased: bool) -> None:
    """All in one: masks, padding, shared rows, rows without a set, tokens outside, bad rows."""
    x = randn(5, 130, 1).unsqueeze(1)
    x[3, 0, 5] = float("nan")
    allowed = (randn(5, 130, 2) > -3).unsqueeze(1)
    token = torch.randint(0, 100, (5, 4), generator=rng(4))
    token[0, 1] = -1
    sets = random_sets(20, 130, 6, most=60)
    assert not sets.complete.all()
    bias = random_bias(20, 130, 7, most=50) if biased else None
    grads = []
    for backend in ("reference", "native"):
        with ad.use_backend(backend):
            y = x.clone().requires_grad_()
            step = ad.score(
                *(y, token, ad.Adaptor(temperature=tau)),
                **{"kept": sets, "bias": bias, "allowed": allowed},
                **{"valid_vocab": 100, "strict": False},
            )
            numbers = four(step)
            good = numbers.isfinite() & torch.arange(5).ne(3)[:, None]
            weight = torch.linspace(-1, 1, numbers.numel()).double().view(numbers.shape)
            (numbers.masked_fill(~good, 0.0) * weight).sum().backward()
            grads.append(y.grad[[0, 1, 2, 4]])
    torch.testing.assert_close(grads[1], grads[0], rtol=1e-5, atol=1e-5)
    assert grads[0].isfinite().all()
    assert grads[0].abs().max() > 0.1
    assert grads[0][~allowed[[0, 1, 2, 4]]].eq(0).all()


@pytest.mark.usefixtures("backend")
def test_a_row_without_its_set_has_the_gradient_of_log_p() -> None:
    x, token = randn(2, 20, 1).requires_grad_(), torch.tensor([3, 4])
    sets = ad.KeptSets.from_lists([[], []])._replace(complete=torch.tensor([False, True]))
    step = ad.score(x, token, kept=sets, strict=False)
    assert step.status.tolist() == [5, 2]
    step.log_p.sum().backward()
    plain = x.detach().clone().requires_grad_()
    ad.score(plain, token).log_p.sum().backward()
    torch.testing.assert_close(x.grad, plain.grad, rtol=0, atol=1e-7)
