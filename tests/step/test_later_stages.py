"""p_less, top_h and top_a: against float64, against transformers, at the edges of their sums."""

import math

import pytest
import torch
from support.cases import LARGE_SIZES, distinct, randn
from support.oracle import kept
from support.rows import SHAPES, SMALL, check_numbers
from torch import Tensor

import aligndec as ad

TEMPERATURES = (0.6, 1.0, 1.4)
FIELDS: dict[str, dict[str, float]] = {
    "p_less": {"p_less": 2.0},
    "p_less_low": {"p_less": 1.5},
    "p_less_high": {"p_less": 7.0},
    "top_h": {"top_h": 0.4},
    "top_h_high": {"top_h": 0.95},
    "top_a": {"top_a": 0.3},
    "chain": {"top_p": 0.95, "p_less": 1.6, "top_h": 0.8, "top_a": 0.2},
}


def compare(x: Tensor, tau: float, fields: dict[str, float], cut_on: str) -> int:
    """Compare the rows that no rounding can decide; return how many are left out."""
    adaptor = ad.Adaptor(temperature=tau, cut_on=cut_on, **fields)
    expected = kept(x.double(), temperature=tau, cut_on=cut_on, **fields)
    actual = ad.kept_mask(x, adaptor)
    assert torch.equal(actual[expected.safe], expected.mask[expected.safe]), adaptor
    check_numbers(x[expected.safe], expected.mask[expected.safe], adaptor)
    return int((~expected.safe).sum())


@pytest.mark.slow
@pytest.mark.parametrize("tau", TEMPERATURES)
@pytest.mark.parametrize("name", FIELDS)
def test_against_float64(name: str, tau: float) -> None:
    rows = unsafe = 0
    for count, vocab, scale in (*SHAPES, (2, 40_000, 1.0), (1, LARGE_SIZES[0], 2.0)):
        x = distinct(count, vocab, seed=vocab + 2, scale=scale)
        unsafe += compare(x, tau, FIELDS[name], "scaled")
        rows += count
    assert unsafe <= 0.03 * rows


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("cut_on", ["scaled", "base"])
@pytest.mark.parametrize("name", FIELDS)
def test_against_float64_on_both_backends(name: str, cut_on: str) -> None:
    for count, vocab, scale in SMALL:
        x = distinct(count, vocab, seed=vocab, scale=scale)
        assert compare(x, 0.7, FIELDS[name], cut_on) <= 0.1 * count


@pytest.mark.parametrize("share", [0.05, 0.4, 0.9])
@pytest.mark.parametrize("tau", [0.7, 1.3])
def test_top_h_of_transformers(share: float, tau: float) -> None:
    """Rows of at most 100 tokens, and longer ones whose 100 largest logits hold the entropy."""
    transformers = pytest.importorskip("transformers")
    if not hasattr(transformers, "TopHLogitsWarper"):
        pytest.skip(f"transformers {transformers.__version__} has no top_h to compare with")
    warper = transformers.TopHLogitsWarper(share)
    steep = torch.arange(1000).neg() * 0.5 + 0.01 * randn(20, 1000, 4)
    compared = 0
    for x in (distinct(60, 90, 5, 2.0), distinct(60, 100, 6, 0.5), steep):
        expected = warper(None, x.double() / tau).isfinite()
        safe = kept(x.double(), temperature=tau, top_h=share).safe
        actual = ad.kept_mask(x, ad.Adaptor(temperature=tau, top_h=share))
        assert torch.equal(actual[safe], expected[safe])
        compared += int(safe.sum())
    assert compared > 130
    # Control: where the 100 largest are a part of the law, the sets are others.
    x = distinct(20, 5000, 7, 1.0)
    mask = ad.kept_mask(x, ad.Adaptor(temperature=tau, top_h=share))
    assert not torch.equal(mask, warper(None, x.double() / tau).isfinite())


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("vocab", [1, 2, 1000, 70_000])
def test_equal_logits_stay_together(vocab: int) -> None:
    x = torch.full((1, vocab), -3.25)
    for fields in ({"p_less": 2.0}, {"p_less": 3.5}, {"top_h": 1e-6}, {"top_a": 1.0}):
        if vocab == 70_000 and fields.get("p_less") == 3.5:
            continue  # a power per token, slow in the reference
        assert ad.kept_mask(x, ad.Adaptor(**fields)).all(), fields


@pytest.mark.usefixtures("native")
def test_prefixes_that_an_estimate_cannot_place() -> None:
    """Tails without weight, shares next to 0 and 1: the integers decide alone."""
    tail = torch.cat((torch.zeros(3), torch.linspace(-20, -70, 3000)))
    ladder = torch.arange(4000).neg() * 0.01
    rows = torch.stack((torch.nn.functional.pad(tail, (0, 997), value=-5.0), ladder))
    shares = (1e-300, 1e-12, 0.3, 1 - 1e-6, 1 - 1e-9, 1 - 1e-12, math.nextafter(1.0, 0.0))
    for share in shares:
        for fields in ({}, {"temperature": 1.7}, {"typical_p": 0.7}):
            adaptor = ad.Adaptor(top_h=share, **fields)
            masks = []
            for backend in ("reference", "native"):
                with ad.use_backend(backend):
                    masks.append(ad.kept_mask(rows, adaptor))
            assert torch.equal(*masks), adaptor


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_wide_sets_of_long_rows(scale: float, dtype: torch.dtype) -> None:
    """Rows long enough for a forecast, with ties on the cut among them."""
    x = randn(2, 20_000, 9, scale).to(dtype)
    for fields in ({"p_less": 2.0}, {"top_h": 0.4}, {"top_h": 0.9}, {"top_a": 0.5}):
        for more in ({}, {"temperature": 1.3}, {"temperature": 0.8, "cut_on": "base"}):
            adaptor, token = ad.Adaptor(**fields, **more), torch.tensor([5, 7])
            steps = []
            for backend in ("reference", "native"):
                with ad.use_backend(backend):
                    steps.append(ad.sample(x, adaptor, uniforms=torch.tensor([0.1, 0.9]).double()))
                    steps.append(ad.score(x, token, adaptor))
            for a, b in ((steps[0], steps[2]), (steps[1], steps[3])):
                assert torch.equal(a.n_kept, b.n_kept), adaptor
                assert torch.equal(a.token, b.token), adaptor
                torch.testing.assert_close(a.log_z, b.log_z, rtol=1e-12, atol=1e-12)
                torch.testing.assert_close(a.kl, b.kl, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "value"), [("p_less", 1.4), ("p_less", 65.0), ("top_h", 1.1), ("top_a", -0.1)]
)
def test_ranges(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^Adaptor: {name} must be .*, got {value}"):
        ad.Adaptor(**{name: value})
