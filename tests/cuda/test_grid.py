"""Token, n_kept, status and masses on CUDA equal the CPU kernel's, over the whole grid."""

import pytest
import torch
from support.cases import (
    ADAPTORS,
    DTYPES,
    HOSTILE,
    LARGE_SIZES,
    LAYOUTS,
    SIZES,
    adaptors,
    bits,
    check_step,
    crossed,
    hostile,
    randn,
    rng,
    rows_of,
    uniforms,
)
from torch import Tensor

import aligndec as ad
from aligndec.testing import masses

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("native")]
TOLERANCE = 1e-12
VOCABS = (*SIZES, 4096, 50257, *LARGE_SIZES)


def compare(x: Tensor, every: list[ad.Adaptor], there: Tensor | None = None, **hidden) -> None:
    """Draw, score, mask and masses of one batch; `there`: the same logits laid out otherwise."""
    there = x.cuda() if there is None else there
    moved = {k: v.cuda() if isinstance(v, Tensor) else v for k, v in hidden.items()}
    lax = {"strict": False}
    u, token = uniforms(len(x), 1), torch.randint(-1, x.shape[1], (len(x),), generator=rng(2))
    check_step(
        ad.sample(there, every, uniforms=u.cuda(), **moved, **lax),
        ad.sample(x, every, uniforms=u, **hidden, **lax),
        TOLERANCE,
    )
    check_step(
        ad.score(there, token.cuda(), every, **moved, **lax),
        ad.score(x, token, every, **hidden, **lax),
        TOLERANCE,
    )
    mine, other = masses(there, every, **moved), masses(x, every, **hidden)
    assert [m.tolist() for m in mine] == [m.tolist() for m in other]
    mask = ad.kept_mask(there, every, **moved)
    assert torch.equal(mask.cpu(), ad.kept_mask(x, every, **hidden))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("vocab", VOCABS)
def test_every_size(vocab: int, dtype: torch.dtype) -> None:
    compare(*crossed(randn(1, vocab, vocab, 2.5).to(dtype)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_rows(name: str, dtype: torch.dtype) -> None:
    compare(*crossed(hostile(name, dtype)))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("vocab", [1025, 128256])
@pytest.mark.parametrize("kind", ["ties", "flat", "plateau", "half_masked"])
def test_rows_that_are_hard_to_cut(kind: str, vocab: int, dtype: torch.dtype) -> None:
    """Many candidates near the cut, and sets that hold most of the vocabulary."""
    x = randn(1, vocab, 3, {"ties": 3.0, "flat": 0.01}.get(kind, 1.0))
    if kind == "ties":
        x = x.bfloat16().float()
    elif kind == "plateau":
        x[:, : vocab // 2] = 2.0
    elif kind == "half_masked":
        x[:, ::2] = -torch.inf
    names = ("top_k", "top_p", "top_p_almost", "typical", "eta", "sigma", "cold_top_p_base", "all")
    compare(*crossed(x.to(dtype), [ad.Adaptor(**ADAPTORS[n]) for n in names]))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("vocab", [33, 1031, 50257])
def test_every_layout(vocab: int, dtype: torch.dtype, layout: str) -> None:
    x, every = crossed(randn(1, vocab).to(dtype))
    compare(x, every, LAYOUTS[layout](x.cuda()))
    compare(x[:1].expand(len(every), vocab), every, x[:1].cuda().expand(len(every), vocab))


@pytest.mark.parametrize("kind", ["bool", "bits"])
@pytest.mark.parametrize("vocab", [31, 1025, 128256])
def test_masks_and_padding(vocab: int, kind: str) -> None:
    x, every = crossed(randn(1, vocab))
    allowed = randn(len(x), vocab, 1) > 0.5
    allowed[::7] = False
    allowed = allowed if kind == "bool" else bits(allowed)
    compare(x, every, allowed=allowed, valid_vocab=vocab - vocab // 5)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("place", [0, 517, -1])
def test_bad_values(place: int, value: float) -> None:
    x, every = crossed(randn(2, 128256, scale=2.0), adaptors()[::4])
    x[::3, place] = value
    compare(x, every)


def test_grid_of_adaptors() -> None:
    x, token = randn(5, 50257, 8), torch.randint(0, 50257, (5,), generator=rng(3))
    actual = ad.score_grid(x.cuda(), token.cuda(), adaptors())
    check_step(actual, ad.score_grid(x, token, adaptors()), TOLERANCE)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_row_knows_nothing_of_its_batch(dtype: torch.dtype) -> None:
    """Few rows are cut by many blocks each, many rows by few: the bits are the same."""
    x, u = randn(300, 33000, 6).to(dtype).cuda(), uniforms(300).cuda()
    every = (adaptors() * 10)[:300]
    together = ad.sample(x, every, uniforms=u)
    for start, stop in ((0, 1), (7, 9), (100, 132), (299, 300)):
        part = slice(start, stop)
        alone = ad.sample(x[part], every[part], uniforms=u[part])
        check_step(alone, rows_of(together, part))


def test_the_comparison_can_fail() -> None:
    """Control: the next float in one place is another mass."""
    x = randn(1, 1000)
    other = x.clone()
    other[0, 5] = torch.nextafter(other[0, 5], torch.tensor(torch.inf))
    with pytest.raises(AssertionError):
        compare(x, [ad.Adaptor()], other.cuda())


@pytest.mark.parametrize("rows", [0, 1])
def test_empty_and_single_batches(rows: int) -> None:
    compare(randn(rows, 77), [ad.Adaptor(top_p=0.8)] * rows)
