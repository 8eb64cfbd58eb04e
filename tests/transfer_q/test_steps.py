"""Candidates, values and rescored choices: by hand, at the edges, bit for bit."""

import math

import pytest
import torch
from support.cases import DTYPES, SIZES, randn
from torch import Tensor

import aligndec as ad
from aligndec import reference, rng
from aligndec import transfer_q as tq

INF, NAN = math.inf, math.nan
LN = math.log


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def same_bits(a: Tensor, b: Tensor) -> bool:
    both = (a.isnan() & b.isnan()) if a.is_floating_point() else torch.zeros_like(a).bool()
    return bool(((a == b) | both).all())


# --- candidates ---------------------------------------------------------------------------------


def test_candidates_by_hand(backend: str) -> None:
    x = torch.tensor([[1.0, 3.0, 3.0, -INF, 2.0], [0.0, 0.0, 0.0, 0.0, 0.0]])
    out = tq.candidates(x, 3)
    assert out.token.tolist() == [[1, 2, 4], [0, 1, 2]]
    law = x.double().log_softmax(1)
    torch.testing.assert_close(out.log_p, law.gather(1, out.token), rtol=0, atol=5e-7)
    assert (out.token.dtype, out.log_p.dtype) == (torch.int64, torch.float64)
    # Tokens without probability come last, by id; the vocabulary may be padded.
    whole = tq.candidates(x, 5)
    assert whole.token.tolist() == [[1, 2, 4, 0, 3], [0, 1, 2, 3, 4]]
    assert whole.log_p[0, 4] == -INF
    assert tq.candidates(x, 2, valid_vocab=2).token.tolist() == [[1, 0], [0, 1]]


def test_candidates_of_float64_are_exact() -> None:
    x = torch.randn(4, 9, dtype=torch.float64) * 5
    out = reference.candidates(x, 4)
    torch.testing.assert_close(out.log_p, x.log_softmax(1).gather(1, out.token), rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("vocab", [*SIZES, 5000])
def test_candidates_are_the_reference_bit_for_bit(isa: str, dtype: torch.dtype, vocab: int) -> None:
    x = torch.cat([randn(6, vocab) * 3, randn(2, vocab).round(), torch.zeros(1, vocab)])
    x[2, torch.rand(vocab) < 0.9] = -INF
    x[2, vocab // 2] = 0.5
    x[3] = -INF
    x[3, -1] = -1e4
    x[4, 0] = 80.0
    x = x.to(dtype)
    for k in {1, min(7, vocab), max(1, vocab // 2), vocab}:
        for valid in {k, vocab}:
            found = torch.isfinite(x[:, :valid]).any(1)
            mine = tq.candidates(x[found], k, valid_vocab=valid)
            with ad.use_backend("reference"):
                theirs = tq.candidates(x[found], k, valid_vocab=valid)
            assert torch.equal(mine.token, theirs.token), (k, valid)
            assert same_bits(mine.log_p, theirs.log_p), (k, valid)


def test_candidates_have_the_log_p_of_score(backend: str) -> None:
    x = randn(5, 300) * 4
    out = tq.candidates(x, 6)
    for column in range(6):
        assert torch.equal(ad.score(x, out.token[:, column]).log_p, out.log_p[:, column])


def test_candidates_refuse(backend: str) -> None:
    x = randn(3, 7)
    for k in (0, 8):
        with pytest.raises(ValueError, match=r"k must be in \[1, V\] = \[1, 7\]"):
            tq.candidates(x, k)
    for bad in (NAN, INF):
        broken = x.clone()
        broken[1, 2] = bad
        with pytest.raises(ad.BadLogitsError, match=r"candidates: .* row 1: NaN") as caught:
            tq.candidates(broken, 2)
        assert caught.value.rows == [1]
        assert caught.value.step.status.tolist() == [0, 1, 0]
    with pytest.raises(ad.BadLogitsError, match=r"row 0: no token left"):
        tq.candidates(torch.full((1, 4), -INF), 2)
    assert tq.candidates(x[:0], 2).token.shape == (0, 2)


# --- value --------------------------------------------------------------------------------------


def test_value_by_hand(backend: str) -> None:
    r, ratio = doubles(1.0, 2.0, 5.0), doubles(0.0, LN(2), -INF)
    mean = tq.value(r)
    assert (float(mean.value), float(mean.ess), float(mean.log_c)) == (8 / 3, 3.0, 0.0)
    out = tq.value(r, ratio, mode="snis")
    torch.testing.assert_close(out.value, doubles(5 / 3)[0], rtol=0, atol=1e-15)
    torch.testing.assert_close(out.ess, doubles(9 / 5)[0], rtol=0, atol=1e-15)
    torch.testing.assert_close(out.log_c, doubles(0.0)[0], rtol=0, atol=1e-15)
    soft = tq.value(r, ratio + 7.0, mode="log_mean_exp")
    torch.testing.assert_close(soft.value, doubles(7.0)[0], rtol=0, atol=1e-14)


def test_value_does_not_overflow(backend: str) -> None:
    ratio = doubles(1e4, -1e4, 1e4 + 1)
    r = doubles(1.0, 100.0, 3.0)
    out = tq.value(r, ratio, mode="snis")
    a = 1 / (1 + math.e)
    assert float(out.value) == pytest.approx(a + 3 * (1 - a), abs=1e-12)
    assert float(out.log_c) == pytest.approx(1e4 + LN(1 + math.e) - LN(3), abs=1e-10)
    low = tq.value(r, ratio - 2e4, mode="log_mean_exp")
    assert float(low.value) == pytest.approx(float(out.log_c) - 2e4, abs=1e-10)


def test_value_invariances(backend: str) -> None:
    r, ratio = torch.randn(2, 3, 8).double(), torch.randn(2, 3, 8).double() * 3
    out = tq.value(r, ratio, mode="snis")
    shifted = tq.value(r, ratio + 1e3, mode="snis")  # r_BL + c
    torch.testing.assert_close(out.value, shifted.value, rtol=0, atol=1e-11)
    more = tq.value(r + 7.5, ratio + 7.5 / 0.3, mode="snis")  # r + c
    torch.testing.assert_close(out.value + 7.5, more.value, rtol=0, atol=1e-11)
    assert out.value.shape == (2, 3)
    # The estimator without a normaliser has neither property.
    raw = [((ratio + c).exp() * (r + c)).mean(-1) for c in (0.0, 1.0)]
    assert not torch.allclose(raw[0] + 1.0, raw[1])
    # With one rollout the weight cancels; equal rollouts are worth one value.
    one = tq.value(r[..., :1], ratio[..., :1], mode="snis")
    assert torch.equal(one.value, r[..., 0])
    torch.testing.assert_close(one.ess, torch.ones(2, 3).double(), rtol=0, atol=0)


def test_values_are_the_reference_bit_for_bit(native: None) -> None:
    for n in (1, 2, 5, 64):
        r, ratio = torch.randn(50, n).double() * 10, torch.randn(50, n).double() * 1e3
        ratio[:, 1:][torch.rand(50, n - 1) < 0.3] = -INF
        for mode in ("mean", "snis", "log_mean_exp"):
            for weights in (ratio, ratio / 1e3, None):
                if weights is None and mode != "mean":
                    continue
                with ad.use_backend("reference"):
                    theirs = tq.value(r, weights, mode=mode)
                for a, b in zip(tq.value(r, weights, mode=mode), theirs, strict=True):
                    assert same_bits(a, b)


def test_value_refuses(backend: str) -> None:
    r = torch.zeros(2, 3).double()
    with pytest.raises(ValueError, match="log_ratio must be given"):
        tq.value(r, mode="snis")
    with pytest.raises(ValueError, match="mode must be one of"):
        tq.value(r, mode="median")
    with pytest.raises(ValueError, match=r"rewards must be finite, got nan at \[1, 2\]"):
        tq.value(torch.tensor([[0.0, 0, 0], [0, 0, NAN]]))
    with pytest.raises(ValueError, match=r"log_ratio must not be -inf throughout, got so at \[0\]"):
        tq.value(r, torch.full((2, 3), -INF).double(), mode="snis")
    with pytest.raises(ValueError, match="log_ratio must be"):
        tq.value(r, torch.zeros(2, 4).double(), mode="snis")


# --- rescore ------------------------------------------------------------------------------------


def test_rescore_by_hand(backend: str) -> None:
    # p = 1/2, 1/4, 1/4; weights 1, 4, 1 give 1/4·2, 1/4·4, 1/4 → 2/7, 4/7, 1/7 of the law.
    log_p = doubles(LN(0.5), LN(0.25), LN(0.25))[None].repeat(4, 1) - 3.0
    value = doubles(0.0, 2 * LN(4), 0.0)[None].repeat(4, 1)
    law, ref = doubles(2 / 7, 4 / 7, 1 / 7), doubles(0.5, 0.25, 0.25)
    u = doubles(0.0, 0.28, 0.29, 0.9)
    out = tq.rescore(log_p, value, alpha=2.0, uniforms=u)
    assert out.index.tolist() == [0, 0, 1, 2]
    torch.testing.assert_close(out.log_alg, law.log()[out.index], rtol=0, atol=1e-14)
    torch.testing.assert_close(out.log_ref, ref.log()[out.index], rtol=0, atol=1e-14)
    kl = (law * (law / ref).log()).sum()
    torch.testing.assert_close(out.kl, kl.expand(4), rtol=0, atol=1e-14)
    greedy = tq.rescore(log_p, value, alpha=2.0, greedy=True)
    assert greedy.index.tolist() == [1] * 4
    assert greedy.log_alg.eq(0).all()
    torch.testing.assert_close(greedy.kl, -ref.log()[greedy.index], rtol=0, atol=1e-14)


def test_rescore_limits(backend: str) -> None:
    log_p, value = torch.randn(6, 9).double(), torch.randn(6, 9).double()
    u = torch.rand(6).double()
    wide = tq.rescore(log_p, value, alpha=INF, uniforms=u)
    assert wide.kl.abs().max() < 1e-15
    assert torch.equal(wide.log_alg, wide.log_ref)
    narrow = tq.rescore(log_p, value, alpha=1e-300, uniforms=u)
    assert torch.equal(narrow.index, value.argmax(1))
    torch.testing.assert_close(narrow.log_alg, torch.zeros(6).double())
    # A constant in the values changes nothing; ties go to the lowest index.
    moved = tq.rescore(log_p, value + 2.0**20, alpha=0.25, uniforms=u)
    assert torch.equal(moved.index, tq.rescore(log_p, value, alpha=0.25, uniforms=u).index)
    assert (
        tq.rescore(torch.zeros(2, 3), torch.zeros(2, 3), alpha=1.0, greedy=True).index.eq(0).all()
    )


def test_rescore_leaves_out_what_has_no_weight(backend: str) -> None:
    log_p, value = doubles(0.0, -INF, 0.0, -1.0)[None], doubles(1.0, 9.0, -INF, 1.0)[None]
    u = torch.arange(100).double() / 100
    out = tq.rescore(log_p.expand(100, 4), value.expand(100, 4), alpha=1.0, uniforms=u)
    assert set(out.index.tolist()) == {0, 3}
    assert int((out.index == 0).sum()) == 74  # 1 / (1 + e^-1) = 0.7311


def test_rescore_draws_from_stream_3(backend: str) -> None:
    log_p, value = torch.randn(50, 7).double(), torch.randn(50, 7).double()
    ids = torch.randint(2**62, (50,))
    u = rng.uniform(rng.philox(5, ids, 11, rng.RESCORE)[0])
    named = tq.rescore(log_p, value, alpha=0.5, seed=5, sequence_ids=ids, positions=11)
    assert torch.equal(named.index, tq.rescore(log_p, value, alpha=0.5, uniforms=u).index)
    each = tq.rescore(
        log_p, value, alpha=0.5, seed=5, sequence_ids=ids, positions=torch.full((50,), 11)
    )
    assert torch.equal(named.index, each.index)


def test_choices_are_the_reference_bit_for_bit(native: None) -> None:
    for k in (1, 2, 10, 700):
        log_p, value = torch.randn(40, k).double() * 5, torch.randn(40, k).double() * 50
        log_p[:, 1:][torch.rand(40, k - 1) < 0.2] = -INF
        value[:, 1:][torch.rand(40, k - 1) < 0.2] = -INF
        for alpha in (0.01, 1.0, INF, torch.rand(40).double() + 0.1):
            for how in ({"greedy": True}, {"seed": 3}, {"uniforms": torch.rand(40).double()}):
                with ad.use_backend("reference"):
                    theirs = tq.rescore(log_p, value, alpha=alpha, **how)
                for a, b in zip(tq.rescore(log_p, value, alpha=alpha, **how), theirs, strict=True):
                    assert same_bits(a, b)


def test_rescore_refuses(backend: str) -> None:
    p = torch.zeros(2, 3)
    for alpha in (0.0, -1.0, NAN, torch.ones(3).double()):
        with pytest.raises(ValueError, match="alpha must be > 0"):
            tq.rescore(p, p, alpha=alpha)
    with pytest.raises(ValueError, match=r"value must be finite or -inf, got nan at \[1, 0\]"):
        tq.rescore(p, torch.tensor([[0.0, 0, 0], [NAN, 0, 0]]), alpha=1.0)
    with pytest.raises(ValueError, match=r"at least one candidate, got none in rows \[0\]"):
        tq.rescore(
            torch.tensor([[0.0, -INF], [0, 0]]), torch.tensor([[-INF, 0.0], [0, 0]]), alpha=1
        )
    with pytest.raises(ValueError, match=r"must be \[B, k >= 1\]"):
        tq.rescore(p, p[:, :2], alpha=1.0)
    with pytest.raises(ValueError, match=r"uniforms must be in \[0, 1\)"):
        tq.rescore(p, p, alpha=1.0, uniforms=doubles(0.0, 1.0))
