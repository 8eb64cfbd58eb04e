"""Arithmetic on the logits of several models."""

import math

import pytest
import torch
from support.cases import randn

import aligndec as ad
from aligndec import transfer_q as tq

INF = math.inf


def test_by_definition(backend: str) -> None:
    x = [randn(4, 33) * 3, randn(4, 33, 1) * 3, randn(4, 33, 2)]
    weights = [1.0, 0.7, -0.7]
    out = tq.combine_logits(x, weights)
    terms = [w * y.double().log_softmax(1) for w, y in zip(weights, x, strict=True)]
    torch.testing.assert_close(out, sum(terms).log_softmax(1), rtol=0, atol=1e-13)
    torch.testing.assert_close(out.exp().sum(1), torch.ones(4).double(), rtol=0, atol=1e-12)
    # Constants of a model are nothing; one model with weight 1 is itself.
    moved = tq.combine_logits([x[0] + 64.0, *x[1:]], weights)
    torch.testing.assert_close(out, moved, rtol=0, atol=1e-4)  # float32 logits lose bits
    alone = tq.combine_logits(x[:1], [1.0])
    torch.testing.assert_close(alone, x[0].double().log_softmax(1), rtol=0, atol=1e-14)


def test_tokens_that_are_ruled_out(backend: str) -> None:
    a, b = torch.tensor([[0.0, -INF, 0.0, 1.0]]), torch.tensor([[0.0, -INF, 1.0, 0.0]])
    out = tq.combine_logits([a, b], [1.0, -1.0])
    assert out[0, 1] == -INF
    torch.testing.assert_close(
        out[0, [0, 2, 3]], torch.tensor([0.0, -1.0, 1.0]).double().log_softmax(0)
    )
    # Weight 0: not read at all. Ruled out by a negative term only: no law.
    assert torch.isfinite(tq.combine_logits([a.nan_to_num(neginf=0.0), b], [1.0, 0.0])).all()
    with pytest.raises(ValueError, match=r"must leave a law in every row, .* rows \[0\]"):
        tq.combine_logits([a.nan_to_num(neginf=0.0), b], [1.0, -1.0])


@pytest.mark.parametrize("vocab", [1, 2, 33, 1025])
def test_the_kernel_is_the_reference_bit_for_bit(native: None, vocab: int) -> None:
    x = [randn(5, vocab).half(), randn(5, 2 * vocab, 1)[:, :vocab], randn(5, vocab, 2).bfloat16()]
    x[1][2, 0] = -INF
    weights = [1.0, 0.3, -0.9]
    out = torch.ops.aligndec.combine_logits(x, weights)
    other = ad.reference.combine_logits(x, weights)
    assert ((out == other) | (out.isnan() & other.isnan())).all()
    assert bool(out.isnan().any()) == (vocab == 1)


def test_sampling_from_the_combined_law(backend: str) -> None:
    x = [randn(3, 50), randn(3, 50, 1)]
    out = tq.sample_combined(x, [1.0, 0.5], ad.Adaptor(top_k=5), seed=3, positions=2)
    law = tq.combine_logits(x, [1.0, 0.5])
    at = law.gather(1, out.token[:, None])[:, 0]
    torch.testing.assert_close(out.log_p, at, rtol=0, atol=5e-7)
    assert out.n_kept.eq(5).all()
    kept = law.topk(5).indices
    assert (kept == out.token[:, None]).any(1).all()


def test_refusals() -> None:
    x = randn(2, 5)
    for weights, what in (([1.0], "M >= 1 each"), ([math.nan, 1.0], "finite"), ([0, 0], "not all")):
        with pytest.raises(ValueError, match=what):
            tq.combine_logits([x, x], weights)
    with pytest.raises(ValueError, match="one shape"):
        tq.combine_logits([x, x[:, :4]], [1, 1])
