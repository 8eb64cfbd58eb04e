"""Prepacked linear layers: the same numbers, never stale ones, and nothing of the model touched."""

import copy
import io

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.func import functional_call, grad, jvp

import aligndec as ad
from aligndec.models import HFCausalLM, prepack
from aligndec.models.prepack import PrepackedLinear
from aligndec.testing.check_step_lm import check_step_lm

pytest.importorskip("transformers")
from support.tiny_models import tiny

pytestmark = pytest.mark.skipif(
    not torch.backends.mkldnn.is_available(), reason="torch was built without oneDNN"
)


CHANGES = ["in place", "state dict", "assigned", "again", "swapped", "dtype", "data", "fused"]


def linear(rows=24, columns=40, dtype=torch.float32, **more):
    return nn.Linear(columns, rows, **more).to(dtype)


def exact(layer, x):
    """The product in float64, and the error that float32 sums of it may have."""
    bias = None if layer.bias is None else layer.bias.double()
    out = nn.functional.linear(x.double(), layer.weight.double(), bias)
    size = nn.functional.linear(x.double().abs(), layer.weight.double().abs(), bias)
    return out, 2.0 * x.shape[-1] * torch.finfo(x.dtype).eps * size.abs()


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(1, 40), (8, 40), (80, 40), (3, 1, 40), (2, 3, 5, 40)])
@torch.no_grad()
def test_equals_the_product_in_float64(bias, shape):
    layer = prepack(linear(bias=bias))
    x = torch.randn(shape)
    assert isinstance(layer, PrepackedLinear)
    for given in (x, torch.randn(*shape[:-1], 80)[..., ::2], torch.randn(shape).mT.clone().mT):
        out, error = exact(layer, given)
        assert ((layer(given).double() - out).abs() <= error).all()


@torch.no_grad()
def test_the_blocks_are_what_is_read():
    # A write of one element through `.data` is not noticed; were the weight read, it would be.
    layer, x = prepack(linear()), torch.randn(8, 40)
    before = layer(x)
    layer.weight.data[1, 2] += 1.0
    torch.testing.assert_close(layer(x), before, rtol=0, atol=0)


@torch.no_grad()
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_weight_is_packed_again(change):
    layer, x, new = prepack(linear()), torch.randn(8, 40), torch.randn(24, 40)
    before = layer(x)
    if change == "in place":
        layer.weight.mul_(2.0)
    elif change == "state dict":
        layer.load_state_dict({"weight": new, "bias": layer.bias})
    elif change == "assigned":
        layer.weight = nn.Parameter(new)
    elif change == "again":  # the old memory is free before the new weight is made
        layer.weight = None
        layer.weight = nn.Parameter(new.clone())
    elif change == "swapped":
        layer.weight.data = new
    elif change == "data":
        layer.weight.data += 0.1 * new
    elif change == "fused":
        layer.weight.grad = new
        torch.optim.AdamW(layer.parameters(), lr=0.1, fused=True).step()
    else:
        layer, x = layer.double(), x.double()
    out, error = exact(layer, x)
    assert ((layer(x).double() - out).abs() <= error).all()
    assert change == "dtype" or not torch.allclose(layer(x), before, atol=1e-2)


def test_gradients_are_those_of_the_plain_layer():
    plain = linear()
    packed, x = prepack(plain), torch.randn(8, 40, requires_grad=True)
    wanted = torch.autograd.grad(plain(x).square().sum(), [x, *plain.parameters()])
    got = torch.autograd.grad(packed(x).square().sum(), [x, *packed.parameters()])
    for a, b in zip(got, wanted, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_a_weight_that_keeps_no_versions():
    with torch.inference_mode():
        layer, x = prepack(linear()), torch.randn(8, 40)
        layer.load_state_dict(linear().state_dict())
        out, error = exact(layer, x)
        assert ((layer(x).double() - out).abs() <= error).all()


def test_the_gradient_of_a_bias_alone():
    layer = prepack(linear())
    layer.weight.requires_grad_(False)
    layer(torch.randn(8, 40)).sum().backward()
    torch.testing.assert_close(layer.bias.grad, torch.full((24,), 8.0))


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own, in forward mode
@pytest.mark.parametrize("how", ["jvp", "dual", "vmap", "ensemble", "grad"])
def test_transforms(how):
    plain, x, t = linear().requires_grad_(False), torch.randn(8, 40), torch.randn(8, 40)

    def transformed(layer):
        def squares(bias):
            return functional_call(layer, {"bias": bias}, (x,)).square().sum()

        if how == "jvp":
            return jvp(layer, (x,), (t,))
        if how == "dual":
            with forward_ad.dual_level():
                return tuple(forward_ad.unpack_dual(layer(forward_ad.make_dual(x, t))))
        if how == "vmap":
            return torch.vmap(layer)(x)
        if how == "ensemble":
            weights = torch.stack([plain.weight, plain.weight.neg()])
            return torch.vmap(lambda w: functional_call(layer, {"weight": w}, (x,)))(weights)
        return grad(squares)(plain.bias)

    torch.testing.assert_close(transformed(prepack(plain)), transformed(plain))


@torch.no_grad()
@pytest.mark.parametrize("x", [torch.randn(40), torch.randn(0, 40)])
def test_shapes_that_are_left_to_torch(x):
    layer = prepack(linear())
    torch.testing.assert_close(layer(x), nn.Linear.forward(layer, x), rtol=0, atol=0)


@torch.no_grad()
def test_autocast_decides_the_type():
    layer, x = prepack(linear()), torch.randn(8, 40)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16


@torch.no_grad()
def test_low_precision():
    layer, x = linear(dtype=torch.bfloat16), torch.randn(8, 40, dtype=torch.bfloat16)
    if not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        with pytest.raises(ValueError, match=r"got Linear with torch.bfloat16 on cpu"):
            prepack(layer)
        return
    out, error = exact(layer, x)
    assert ((prepack(layer)(x).double() - out).abs() <= error).all()


@torch.no_grad()
@pytest.mark.parametrize("how", ["deepcopy", "save"])
def test_copies_and_files(how):
    layer, x = prepack(linear()), torch.randn(8, 40)
    layer.compile(backend="eager")  # what that adds cannot be stored, and torch leaves it out
    layer(x)
    if how == "deepcopy":
        again = copy.deepcopy(layer)
    else:
        file = io.BytesIO()
        torch.save(layer, file)
        file.seek(0)
        again = torch.load(file, weights_only=False)
    assert again.weight is not layer.weight
    torch.testing.assert_close(again(x), layer(x), rtol=0, atol=0)


def test_compiled():
    layer, x = prepack(linear()), torch.randn(8, 40)
    with torch.no_grad():
        made = torch.compile(layer, backend="eager", fullgraph=True)(x)
        torch.testing.assert_close(made, layer(x))
        torch.testing.assert_close(torch.fx.symbolic_trace(nn.Sequential(layer))(x), layer(x))


@pytest.mark.parametrize("kind", ["Llama", "GPTNeoX"])
def test_a_model_of_transformers(kind):
    model = tiny(kind)
    packed = prepack(model)
    layers = [m for m in packed.modules() if isinstance(m, nn.Linear)]
    assert layers
    assert all(type(layer) is PrepackedLinear for layer in layers)
    assert not any(isinstance(m, PrepackedLinear) for m in model.modules())
    assert all(a is b for a, b in zip(packed.parameters(), model.parameters(), strict=True))
    assert type(packed) is type(model)
    ids = torch.randint(3, 61, (5, 7))
    with torch.no_grad():
        torch.testing.assert_close(packed(ids).logits, model(ids).logits, rtol=1e-5, atol=1e-5)
    check_step_lm(HFCausalLM(packed), steps=5, atol=2e-5)
    greedy = {"adaptor": ad.Adaptor(temperature=0.0), "max_new_tokens": 6}
    ours, theirs = (ad.generate(m, ids, **greedy) for m in (packed, model))
    assert torch.equal(ours.tokens, theirs.tokens)
    torch.testing.assert_close(ours.log_p, theirs.log_p, rtol=1e-5, atol=1e-5)


def test_tied_weights_stay_tied():
    model = tiny("Llama", tie_word_embeddings=True)
    packed = prepack(model)
    assert packed.lm_head.weight is packed.model.embed_tokens.weight
    assert packed.lm_head.weight is model.lm_head.weight


@torch.no_grad()
def test_packing_twice_is_packing_once():
    once, x = prepack(linear()), torch.randn(8, 40)
    twice = prepack(once)
    assert type(twice) is PrepackedLinear
    assert twice.weight is once.weight
    torch.testing.assert_close(twice(x), once(x), rtol=0, atol=0)


def test_other_layers_stay():
    class Scaled(nn.Linear):
        def forward(self, x):
            return 2.0 * super().forward(x)

    patched = linear()
    patched.forward = lambda x: x
    model = prepack(nn.Sequential(Scaled(4, 4), patched, linear()))
    kinds = [type(layer) for layer in model]
    assert kinds == [Scaled, nn.Linear, PrepackedLinear]


@pytest.mark.parametrize(
    ("model", "error", "text"),
    [
        (
            nn.Embedding(3, 3),
            ValueError,
            r"model must have torch.nn.Linear .* Embedding .*none",
        ),
        (linear(dtype=torch.float64), ValueError, r"got Linear with torch.float64 on cpu"),
        (linear(device="meta"), ValueError, r"got Linear with torch.float32 on meta"),
        (3, TypeError, r"prepack: model must be a torch.nn.Module, got int$"),
        (
            HFCausalLM(tiny("Llama")),
            TypeError,
            r"got HFCausalLM; pack its module before wrapping it",
        ),
    ],
)
def test_refused(model, error, text):
    with pytest.raises(error, match=text):
        prepack(model)
