"""The attention of rows that continue a few prefixes: the kernel, and torch's own attention."""

import pytest
import torch

from aligndec.ops.backend import current_ops, use_backend
from aligndec.ops.library import torch_ops
from aligndec.reference.attention import Branches

OWNERS = {
    "ragged": (2, 0, 2, 1, 2),
    "even": (0, 0, 1, 1),
    "one": (0,) * 40,  # more queries than a block holds
    "unused": (3, 1, 1),
}


def inputs(owner, *, heads=6, kv_heads=2, length=1, dim=64, value_dim=None, shared=50, own=3):
    torch.manual_seed(0)
    owner = torch.tensor(OWNERS[owner])
    rows, prefixes, value_dim = len(owner), int(owner.max()) + 1, value_dim or dim
    branches = Branches.of(owner, prefixes)
    return {
        "query": torch.randn(rows, length, heads, dim).transpose(1, 2),
        "prefix_keys": torch.randn(prefixes, kv_heads, shared, dim),
        "prefix_values": torch.randn(prefixes, kv_heads, shared, value_dim),
        # The head of a larger buffer, as a growing cache has it.
        "keys": torch.randn(rows, kv_heads, own + 5, dim)[:, :, :own],
        "values": torch.randn(rows, kv_heads, own + 5, value_dim)[:, :, :own],
        "order": branches.order,
        "start": branches.start,
        "mask": None,
        "scale": max(1, dim) ** -0.5,
    }


def owner_of(given):
    owner = torch.empty_like(given["order"])
    counts = given["start"].diff()
    owner[given["order"]] = torch.arange(len(counts)).repeat_interleave(counts)
    return owner


def torchs(given):
    """Joined keys and values in float64, through scaled_dot_product_attention."""
    owner, mask = owner_of(given), given["mask"]
    keys, values = (
        torch.cat([given[f"prefix_{name}"][owner], given[name]], 2).double()
        for name in ("keys", "values")
    )
    if mask is not None and mask.dtype != torch.bool:
        mask = mask.double()
    return torch.nn.functional.scaled_dot_product_attention(
        given["query"].double(), keys, values, mask, scale=given["scale"], enable_gqa=True
    )


def check(given, **tolerance):
    ours = torch_ops.branched_attention(*given.values())
    assert ours.dtype == torch.float32
    tolerance = {"atol": 3e-6, "rtol": 0.0, **tolerance}
    torch.testing.assert_close(ours.double(), torchs(given), **tolerance)
    return ours


@pytest.mark.parametrize("owner", OWNERS)
@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"heads": 2},
        {"heads": 9, "kv_heads": 1, "length": 4},
        {"dim": 8, "shared": 1, "own": 1},
        {"dim": 20, "value_dim": 7, "shared": 17, "own": 19},
        {"dim": 128, "value_dim": 72, "own": 0},
        {"dim": 3, "value_dim": 1, "shared": 1, "own": 2},
    ],
    ids=str,
)
def test_is_torchs(owner, shape, isa):
    check(inputs(owner, **shape))


@pytest.mark.parametrize("owner", ["ragged", "one"])
@pytest.mark.parametrize("wide", [(1, 1, 1), (0, 1, 1), (0, 0, 1), (1, 0, 0), (0, 1, 0), (0, 0, 0)])
@pytest.mark.parametrize("kind", ["bool", "float"])
def test_masks(owner, wide, kind, isa):
    given = inputs(owner, length=3)
    rows, heads, length, _ = given["query"].shape
    shape = [n if w else 1 for n, w in zip((rows, heads, length), wide, strict=True)]
    allowed = torch.rand(*shape, 53) < 0.6
    allowed[..., -1] = True
    given["mask"] = (
        allowed if kind == "bool" else torch.randn(*shape, 53).where(allowed, -torch.inf)
    )
    check(given)
    given["mask"] = given["mask"].expand(rows, heads, length, 53)  # steps of 0
    check(given)


def test_large_scores(isa):
    given = inputs("ragged")
    given["query"] *= 1e4
    check(given, atol=1e-2)
    given["query"] *= 0.0
    check(given)


def test_no_number_depends_on_the_other_rows(isa):
    given = inputs("ragged", length=2)
    whole = torch_ops.branched_attention(*given.values())
    owner = owner_of(given)
    for rows in ([4], [1, 0], [3, 3, 2, 0], [2, 4, 0] * 9):
        some = Branches.of(owner[rows], 3)
        fewer = {name: given[name][rows] for name in ("query", "keys", "values")}
        fewer |= {"order": some.order, "start": some.start}
        out = torch_ops.branched_attention(*{**given, **fewer}.values())
        torch.testing.assert_close(out, whole[rows], rtol=0, atol=0)
    torch.set_num_threads(1)
    again = torch_ops.branched_attention(*given.values())
    torch.testing.assert_close(again, whole, rtol=0, atol=0)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
@pytest.mark.parametrize("name", ["query", "keys", "values", "prefix_keys", "prefix_values"])
def test_a_bad_row_harms_no_other(name, value, isa):
    given = inputs("ragged", heads=2)
    fine = torch_ops.branched_attention(*given.values())
    given[name][1, 0, 0, 0] = value
    bad = torch_ops.branched_attention(*given.values())
    hit = owner_of(given) == 1 if name.startswith("prefix") else torch.arange(5) == 1
    if value != value:  # a score of -inf, which an infinite key may have, is none to be seen
        assert bad[hit][:, 0].isnan().any()
    assert bad[:, 1].isfinite().all()
    torch.testing.assert_close(bad[~hit], fine[~hit], rtol=0, atol=0)
    wanted = torchs(given)
    assert torch.equal(bad.isnan(), wanted.isnan())


def test_nothing_to_see_is_zero(isa):
    given = inputs("even")
    given["mask"] = torch.ones(4, 1, 1, 53, dtype=torch.bool)
    given["mask"][2] = False
    out = torch_ops.branched_attention(*given.values())
    assert (out[2] == 0).all()
    assert (out[[0, 1, 3]] != 0).all()
    check(given)
    with use_backend("reference"):
        out = current_ops().branched_attention(*given.values())
    torch.testing.assert_close(out.double(), torchs(given), atol=3e-6, rtol=0)


@pytest.mark.parametrize("shape", [{"length": 0}, {"dim": 0, "value_dim": 4}], ids=str)
def test_empty_shapes(shape, native):
    given = inputs("ragged", **{"dim": 8, **shape})
    given["scale"] = 0.3
    out = check(given)
    with use_backend("reference"):
        torch.testing.assert_close(current_ops().branched_attention(*given.values()), out)


def test_no_rows(native):
    given = inputs("even")
    none = {name: given[name][:0] for name in ("query", "keys", "values", "order")}
    none["start"] = torch.zeros(3, dtype=torch.int64)
    assert torch_ops.branched_attention(*{**given, **none}.values()).shape == (0, 6, 1, 64)


def test_the_reference_is_torchs_products():
    given = inputs("ragged", length=2)
    with use_backend("reference"):
        out = current_ops().branched_attention(*given.values())
    torch.testing.assert_close(out.double(), torchs(given), atol=3e-6, rtol=0)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("query", torch.zeros(5, 6, 64), "query, keys and values must have 4 dimensions"),
        ("query", torch.zeros(5, 5, 1, 64), "query must have a multiple of the 2 heads"),
        ("query", torch.zeros(5, 0, 1, 64), "query must have a multiple of the 2 heads"),
        ("query", torch.zeros(5, 6, 1, 64).double(), "query must be float32"),
        ("keys", torch.zeros(5, 2, 3, 63), "keys must be float32"),
        ("values", torch.zeros(5, 2, 64, 3).mT, "values must be float32 .* last stride 1"),
        ("prefix_values", torch.zeros(3, 2, 49, 64), "prefix_values must be float32"),
        ("order", torch.tensor([0, 1, 2, 3, 3]), "order must hold each of 0 … rows - 1 = 4 once"),
        ("order", torch.tensor([0, 1, 2, 3, 5]), "order must hold .* got 5"),
        ("start", torch.tensor([0, 3, 2, 5]), "start must rise from 0 to rows = 5"),
        ("mask", torch.ones(5, 1, 1, 52, dtype=torch.bool), "mask must be bool or float32"),
        ("mask", torch.ones(5, 1, 1, 53, dtype=torch.int64), "mask must be bool or float32"),
    ],
)
def test_errors(name, value, text, native):
    given = inputs("ragged")
    with pytest.raises(ValueError, match=f"^branched_attention: {text}"):
        torch_ops.branched_attention(*{**given, name: value}.values())
