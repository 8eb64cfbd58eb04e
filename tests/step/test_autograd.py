"""Gradients of log_p, log_q and log_z with the kept set held fixed."""

import pytest
import torch
from support.cases import ADAPTORS, DTYPES, INF, distinct, randn, rng
from torch import Tensor

import aligndec as ad

SMOOTH = [
    name
    for name, fields in ADAPTORS.items()
    if fields.get("temperature", 1.0) not in (0.0, 1e-3, 1e3)
]


def token_inside(x: Tensor, adaptor: ad.Adaptor, **options: Tensor) -> Tensor:
    mask = ad.kept_mask(x, adaptor, **options)
    return torch.rand(mask.shape, generator=rng(3)).masked_fill(~mask, -1).argmax(-1)


def three(x: Tensor, token: Tensor, adaptor: object, **options: Tensor) -> Tensor:
    step = ad.score(x, token, adaptor, **options)
    return torch.stack((step.log_p, step.log_q, step.log_z))


@pytest.mark.parametrize("name", SMOOTH)
def test_gradcheck_of_the_reference(name: str) -> None:
    adaptor = ad.Adaptor(**ADAPTORS[name])
    x = distinct(2, 9, 5, 1.0)
    with ad.use_backend("reference"):
        token = token_inside(x, adaptor)
    x = x.double().requires_grad_()

    def numbers(x: Tensor) -> tuple[Tensor, ...]:
        step = ad.reference.score(x, token, adaptor)
        return step.log_p, step.log_q, step.log_z

    torch.autograd.gradcheck(numbers, x)


def definition(x: Tensor, token: Tensor, mask: Tensor, tau: float, grad: Tensor) -> Tensor:
    """The gradient written out: onehot - p, (onehot - q)/tau and (q - p)/tau in float64."""
    x = x.double()
    p, q = x.softmax(-1), (x.masked_fill(~mask, -INF) / tau).softmax(-1)
    hot = torch.nn.functional.one_hot(token, x.shape[-1])
    g = grad.unsqueeze(-1)
    return g[0] * (hot - p) + g[1] * (hot - q) / tau + g[2] * (q - p) / tau


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SMOOTH)
def test_gradient_is_the_formula(name: str, dtype: torch.dtype) -> None:
    adaptor = ad.Adaptor(**ADAPTORS[name])
    x = randn(4, 333, 1).to(dtype)
    token, mask = token_inside(x, adaptor), ad.kept_mask(x, adaptor)
    grad = torch.randn(3, 4, generator=rng(2), dtype=torch.float64)
    x.requires_grad_()
    three(x, token, adaptor).backward(grad)
    assert x.grad is not None
    assert x.grad.dtype == dtype
    expected = definition(x.detach(), token, mask, adaptor.temperature, grad)
    atol = 1e-5 if dtype == torch.float32 else 2 * torch.finfo(dtype).eps
    torch.testing.assert_close(x.grad.double(), expected, rtol=atol, atol=atol)


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("name", ADAPTORS)
def test_native_backward_equals_the_reference(name: str) -> None:
    """All in one: masks, padding, a shared row, tokens outside the set, silent and bad rows."""
    adaptor = ad.Adaptor(**ADAPTORS[name])
    x = randn(5, 130, 1).unsqueeze(1)
    x[3, 0, 5] = float("nan")
    allowed = (randn(5, 130, 2) > -3).unsqueeze(1)
    token = torch.randint(0, 100, (5, 4), generator=rng(4))
    token[0, 1] = -1
    grads = []
    for backend in ("reference", "native"):
        with ad.use_backend(backend):
            y = x.clone().requires_grad_()
            numbers = three(y, token, adaptor, allowed=allowed, valid_vocab=100, strict=False)
            good = numbers.isfinite() & torch.arange(5).ne(3)[:, None]
            weight = torch.linspace(-1, 1, numbers.numel()).double().view(numbers.shape)
            (numbers.masked_fill(~good, 0.0) * weight).sum().backward()
            grads.append(y.grad[[0, 1, 2, 4]])
    torch.testing.assert_close(grads[1], grads[0], rtol=1e-5, atol=1e-5)
    assert grads[0].isfinite().all()
    assert grads[0][..., 100:].eq(0).all()
    assert grads[0][~allowed[[0, 1, 2, 4]]].eq(0).all()


@pytest.mark.usefixtures("backend")
def test_kept_set_is_held_fixed() -> None:
    """No gradient reaches log_q from a token outside the set."""
    x = torch.tensor([[2.0, 1.0, 0.0, -1.0]], requires_grad=True)
    ad.score(x, torch.tensor([0]), ad.Adaptor(top_k=2)).log_q.sum().backward()
    assert x.grad[0, 2:].eq(0).all()
    assert x.grad[0, :2].ne(0).all()
    torch.testing.assert_close(x.grad.sum(), torch.zeros(()), rtol=0, atol=1e-6)


@pytest.mark.usefixtures("backend")
def test_only_three_fields_have_gradients() -> None:
    x = randn(2, 9).requires_grad_()
    step = ad.score(x, torch.tensor([0, 1]), ad.Adaptor(top_k=4))
    with_gradient = {name for name in step._fields if getattr(step, name).requires_grad}
    assert with_gradient == {"log_p", "log_q", "log_z"}


@pytest.mark.usefixtures("backend")
def test_a_state_under_grad_is_refused() -> None:
    x = randn(2, 9).requires_grad_()
    state, token = ad.SequenceState.start(2), torch.tensor([0, 1])
    with pytest.raises((ValueError, RuntimeError), match=r"^score: logits must .*, got "):
        ad.score(x, token, state=state)
    with torch.no_grad():
        ad.score(x, token, state=state)
    assert state.length.tolist() == [1, 1]


def test_a_cut_on_another_device_is_refused(native_device: str) -> None:
    """By the kernel itself, which would read memory that is not its device's."""
    x, token = randn(2, 40).to(native_device), torch.tensor([1, 2], device=native_device)
    batch = (x, ad.pack(ad.Adaptor(top_p=0.9), 2, device=native_device).params, None, 40)
    step = torch.ops.aligndec.adaptor_score(*batch, token, None)
    heads = [torch.ones_like(step[1])] * 3
    kernel = torch._C.DispatchKeySet(getattr(torch._C.DispatchKey, native_device.upper()))

    def backward(cut: Tensor) -> Tensor:
        op = torch.ops.aligndec.adaptor_score_backward.default
        return op.redispatch(kernel, *heads, *batch, token, None, cut, step[8])

    assert backward(step[9]).isfinite().all()
    elsewhere = {"cpu": "meta", "cuda": "cpu"}[native_device]
    message = (
        rf"^adaptor_score_backward: cut must be .* on {native_device}.*, got .* on {elsewhere}$"
    )
    with pytest.raises(ValueError, match=message):
        backward(step[9].to(elsewhere))
