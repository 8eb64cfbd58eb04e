"""Continuations that share a prefix: the logits of gathered rows, and one copy of the prefix."""

import pytest
import torch

from aligndec.models import HFCausalLM
from aligndec.testing.check_step_lm import check_step_lm

pytest.importorskip("transformers")
from support.tiny_models import KINDS, V, tiny, wrapped

from aligndec.models.hf import compat as compat
from aligndec.models.hf import shared_prefix as shared
from aligndec.models.hf.growing_layer import GrowingLayer
from aligndec.models.hf.sharing import why_not_shared
from aligndec.reference.attention import Branches

TOL = dict(atol=2e-5, rtol=0)
NEVER_SHARED = ("Mistral", "Bloom", "Mamba", "FalconMamba", "FalconH1")


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():  # as in the loops; a cache that needs gradients is gathered
        yield


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Share whatever may be shared, and count what becomes of it."""
    monkeypatch.setattr(shared, "SHARED_FROM", 1)
    monkeypatch.setattr(shared, "SHARED_BY", 0)
    count = {"attend": 0, "join": 0}
    attend, join = shared._SharedLayer.attend, shared._SharedLayer.join

    def counted_attend(self, *args):
        count["attend"] += 1
        return attend(self, *args)

    def counted_join(self):
        count["join"] += self.branches is not None
        join(self)

    monkeypatch.setattr(shared._SharedLayer, "attend", counted_attend)
    monkeypatch.setattr(shared._SharedLayer, "join", counted_join)
    return count


@pytest.mark.parametrize("kind", KINDS)
def test_conforms_when_everything_is_shared(kind, calls):
    check_step_lm(wrapped(kind), steps=6, atol=2e-5)
    # Bloom has an attention of its own; windows and recurrent states are never shared.
    repeated = "num_key_value_heads" in KINDS[kind] and compat.repeats_groups()
    assert (calls["attend"] > 0) == (kind not in NEVER_SHARED and not repeated)
    assert (calls["join"] > 0) == (kind == "Bloom" or (repeated and kind not in NEVER_SHARED))


@pytest.mark.parametrize("kind", KINDS)
def test_what_keeps_rows_from_sharing_is_said(kind):
    reasons = why_not_shared(wrapped(kind))
    if kind not in NEVER_SHARED:
        assert reasons["even"] is None
        repeated = "num_key_value_heads" in KINDS[kind] and compat.repeats_groups()
        assert (reasons["padded"] is None) != repeated
    elif kind == "Bloom":
        assert all("keys are read by aten." in reason for reason in reasons.values())
    else:
        assert all("no layers of plain keys and values" in reason for reason in reasons.values())


def test_another_attention_reads_joined_tensors(calls):
    check_step_lm(HFCausalLM(tiny("Llama", attn_implementation="eager")), steps=6, atol=2e-5)
    assert calls["attend"] == 0
    assert calls["join"] > 0


def prompts(lengths=(40, 33), width=40):
    torch.manual_seed(1)
    ids = torch.randint(3, V, (len(lengths), width))
    mask = torch.arange(width) >= width - torch.tensor(lengths)[:, None]
    return ids.masked_fill(~mask, 0), mask


def run(lm, by, monkeypatch, lengths):
    """Branch, step, drop and reorder, extend, and come back to one row per prompt."""
    monkeypatch.setattr(shared, "SHARED_BY", by)
    _, state = lm.prefill(*prompts(lengths))
    branched = lm.select(state, torch.tensor([1, 0, 1, 1, 0, 1, 1]))
    layer = branched.cache.layers[-1]
    assert (getattr(layer, "branches", None) is not None) == (by == 2)
    tokens = torch.arange(3, 10)
    out = [lm.step(tokens, branched)[0]]
    fewer = lm.select(branched, torch.tensor([6, 0, 2, 4, 1, 3]))
    out.append(lm.step(tokens[:6], fewer)[0])
    out.append(lm.extend(tokens[:6, None] + torch.arange(3), fewer)[0].flatten(0, 1))
    wider = lm.select(fewer, torch.tensor([3, 3, 3, 1, 1, 0, 0, 0, 0]))
    out.append(lm.step(torch.arange(9) + 3, wider)[0])
    back = lm.select(wider, torch.tensor([8, 0]))
    out += [lm.step(tokens[:2], back)[0], lm.step(tokens[2:4], back)[0]]
    out.append(lm.step(tokens[:2], state)[0])  # the given state stays usable
    out.append(lm.step(tokens[:6], fewer)[0])
    return out, (branched, fewer, wider, back)


@pytest.mark.parametrize("kind", KINDS)
def test_draws_of_one_prompt(kind, monkeypatch):
    lm = wrapped(kind)
    _, state = lm.prefill(*prompts((40,)))
    tokens, out = torch.arange(5) + 3, []
    for by in (2, 10**9):
        monkeypatch.setattr(shared, "SHARED_BY", by)
        rows = lm.select(state, torch.zeros(5, dtype=torch.int64))
        out.append(torch.stack([lm.step(tokens, rows)[0] for _ in range(3)]))
    torch.testing.assert_close(*out, **TOL)


@pytest.mark.parametrize("lengths", [(40, 40), (40, 33)])
@pytest.mark.parametrize("kind", ["Llama", "GPT2", "Lfm2", "Bloom"])
def test_shared_rows_are_gathered_rows(kind, lengths, monkeypatch):
    lm = wrapped(kind)
    ours, _ = run(lm, 2, monkeypatch, lengths)
    plain, _ = run(lm, 10**9, monkeypatch, lengths)
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, b, **TOL)


def test_one_copy_of_the_prefix(monkeypatch):
    lm = HFCausalLM(tiny("Llama", num_key_value_heads=4))
    _, state = lm.prefill(*prompts())
    keys = state.cache.layers[0].keys
    branched = lm.select(state, torch.arange(2).repeat_interleave(50))
    _, branched = lm.step(torch.full((100,), 5), branched)
    layer = branched.cache.layers[0]
    assert layer.prefix["keys"].data_ptr() == keys.data_ptr()
    assert layer.keys.shape == (100, 4, 1, 8)
    assert layer.get_seq_length() == 41
    again = lm.select(branched, torch.arange(99, -1, -1))
    assert again.cache.layers[0].prefix["keys"].data_ptr() == keys.data_ptr()
    # One prompt's rows are all that is left: so is its prefix.
    assert lm.select(branched, torch.arange(50)).cache.layers[0].prefix["keys"].shape[0] == 1
    _, (_, _, _, back) = run(lm, 2, monkeypatch, (40, 33))
    assert all(layer.branches is None for layer in back.cache.layers)
    assert back.cache.layers[0].keys.shape == (2, 4, 48, 8)


@pytest.mark.parametrize("rows", [(0, 1), (0, 0, 1)])
def test_few_rows_and_short_prefixes_are_gathered(rows):
    lm = HFCausalLM(tiny("Llama"))
    _, state = lm.prefill(*prompts())
    assert type(lm.select(state, torch.tensor(rows)).cache.layers[0]) is GrowingLayer
    _, short = lm.prefill(torch.full((1, 31), 5), torch.ones(1, 31, dtype=torch.bool))
    many = torch.zeros(9, dtype=torch.int64)
    assert type(lm.select(short, many).cache.layers[0]) is GrowingLayer
    assert len(lm.select(state, many[:0]).cache.layers[0].keys) == 0


def test_shared_states_join():
    lm = HFCausalLM(tiny("Llama"))
    ids, mask = prompts()
    _, state = lm.prefill(ids, mask)
    rows = torch.tensor([0, 0, 1, 1])
    fresh = lm.select(state, rows)
    _, older = lm.step(torch.tensor([4, 5, 6, 7]), lm.select(state, rows))
    joined = lm.join(older, fresh)
    tokens = torch.arange(8) + 9
    out = lm.step(tokens, joined)[0]
    torch.testing.assert_close(out[:4], lm.step(tokens[:4], older)[0], **TOL)
    torch.testing.assert_close(out[4:], lm.step(tokens[4:], fresh)[0], **TOL)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("mask", ["none", "bool", "float", "heads", "flat", "one", "strided"])
@pytest.mark.parametrize("owner", [(2, 0, 2, 1, 2), (0, 0, 1, 1, 2, 2), (0, 0, 0)])
@pytest.mark.parametrize(("heads", "length"), [(4, 1), (12, 1), (12, 3)])
def test_attention_is_torchs(heads, length, owner, mask, dtype):
    """Ragged and even branches, grouped heads, all kinds of masks; float32 is for the kernel."""
    torch.manual_seed(heads + length)
    owner, rows, p, own, b = torch.tensor(owner), len(owner), 33, length + 1, int(max(owner)) + 1
    layer = shared._SharedLayer(
        {n: torch.randn(b, 4, p, 8, dtype=dtype) for n in ("keys", "values")}
    )
    layer.branches = Branches.of(owner, b)
    new = [torch.randn(rows, 4, own, 8, dtype=dtype) for _ in range(2)]
    keys, values = layer.update(*new)
    prefix = layer.prefix
    whole = [
        torch.cat([prefix[n][owner], x], 2) for n, x in zip(("keys", "values"), new, strict=True)
    ]
    query = torch.randn(rows, length, heads, 16, dtype=dtype).transpose(1, 2)
    query = query[..., ::2] if mask == "strided" else query[..., :8]
    allowed = torch.rand(rows, heads if mask == "heads" else 1, length, p + own) < 0.7
    others = {
        "none": None,
        "float": allowed.log().to(dtype),
        "flat": allowed[0, 0],
        "one": allowed[:, :, :1, :1] | True,
        "strided": allowed.mT.contiguous().mT,
    }
    attn_mask = others.get(mask, allowed)
    sdpa = torch.nn.functional.scaled_dot_product_attention
    ours = sdpa(query, keys, values, attn_mask=attn_mask, scale=0.3, enable_gqa=True)
    assert layer.branches is not None  # nothing was joined
    theirs = sdpa(query, *whole, attn_mask=attn_mask, scale=0.3, enable_gqa=True)
    atol = 1e-12 if dtype == torch.float64 else 3e-6
    torch.testing.assert_close(ours, theirs, atol=atol, rtol=0)


@pytest.mark.parametrize("wanted", ["query", "keys", "values", "mask", "prefix"])
def test_every_gradient_arrives(wanted):
    def run(share):
        torch.manual_seed(0)
        prefix = {n: torch.randn(1, 2, 40, 8) for n in ("keys", "values")}
        given = {n: torch.randn(3, 2, 1, 8) for n in ("query", "keys", "values")}
        given |= {"mask": torch.randn(3, 1, 1, 41), "prefix": prefix["values"]}
        given[wanted].requires_grad_()
        layer = GrowingLayer()
        with torch.set_grad_enabled(wanted == "prefix"):
            layer.update(prefix["keys"], prefix["values"])
            monkey.setattr(shared, "SHARED_BY", 2 if share else 10**9)
            layer = shared.gather_layers([layer], torch.zeros(3, dtype=torch.int64))[0]
        with torch.enable_grad():
            pair = layer.update(given["keys"], given["values"])
            out = torch.nn.functional.scaled_dot_product_attention(
                given["query"], *pair, attn_mask=given["mask"]
            )
            return torch.autograd.grad(out.square().sum(), given[wanted])[0]

    with pytest.MonkeyPatch.context() as monkey:
        torch.testing.assert_close(run(True), run(False), atol=1e-5, rtol=0)


def test_what_only_looks_like_attention_reads_joined_tensors():
    layer = shared._SharedLayer({n: torch.randn(1, 2, 33, 8) for n in ("keys", "values")})
    layer.branches = Branches.of(torch.zeros(3, dtype=torch.int64), 1)
    prefix = layer.prefix
    keys, values = layer.update(torch.randn(3, 2, 1, 8), torch.randn(3, 2, 1, 8))
    assert keys.shape == (3, 2, 34, 8)
    assert layer.branches is not None  # a shape reads nothing
    torch.testing.assert_close(keys[:, :, :33], prefix["keys"].expand(3, -1, -1, -1))
    assert layer.branches is None
    torch.testing.assert_close(values + 0, layer.values)
    more = layer.update(torch.randn(3, 2, 1, 8), torch.randn(3, 2, 1, 8))
    assert [type(x) for x in more] == [torch.Tensor] * 2
    assert more[0].shape == (3, 2, 35, 8)
    torch.testing.assert_close(more[0][:, :, :34], keys + 0)


@pytest.mark.parametrize("own", [1, 3])
def test_joined_tensors_lie_as_they_say(own):
    layer = shared._SharedLayer({n: torch.randn(2, 3, 33, 8) for n in ("keys", "values")})
    layer.branches = Branches.of(torch.tensor([0, 1, 1, 0]), 2)
    keys, _ = layer.update(torch.randn(4, 3, own, 8), torch.randn(4, 3, own, 8))
    assert keys.is_contiguous()
    weight = torch.randn(5, 8)
    got = torch.nn.functional.linear(keys, weight)
    torch.testing.assert_close(got, layer.keys @ weight.T)
    assert layer.keys.stride() == keys.stride()
    assert keys.flatten().shape == (4 * 3 * (33 + own) * 8,)


def test_low_precision():
    model = tiny("Llama", num_key_value_heads=4).to(torch.bfloat16)
    lm = HFCausalLM(model)
    _, state = lm.prefill(*prompts())
    rows, tokens = torch.tensor([0, 0, 0, 1]), torch.tensor([4, 5, 6, 7])
    branched = lm.select(state, rows)
    out = lm.step(tokens, branched)[0]
    assert branched.cache.layers[0].branches is not None
    ids, mask = prompts()
    alone = model.float()(
        torch.cat([ids[rows], tokens[:, None]], 1),
        attention_mask=torch.cat([mask[rows], torch.ones(4, 1, dtype=torch.bool)], 1).long(),
    ).logits[:, -1]
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), alone, atol=0.02, rtol=0)


def test_a_compiled_model_gets_plain_tensors():
    model = tiny("Llama", num_key_value_heads=4)
    rows, tokens = torch.tensor([0, 0, 0, 1]), torch.tensor([4, 5, 6, 7])
    out = []
    for compiled in (False, True):
        if compiled:
            model.compile(backend="eager")
        lm = HFCausalLM(model)
        branched = lm.select(lm.prefill(*prompts())[1], rows)
        out.append(lm.step(tokens, branched)[0])
        shared = getattr(branched.cache.layers[0], "branches", None)
        assert (shared is None) == compiled
    torch.testing.assert_close(*out, **TOL)
