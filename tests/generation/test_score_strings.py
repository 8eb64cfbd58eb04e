"""Teacher-forced scoring: the sums of the draw, and of plain enumeration."""

import math

import pytest
import torch

import aligndec as ad
from aligndec.models import FunctionLM
from aligndec.testing.table_lm import TableLM, enumerate_strings

SUMS = ("log_p", "log_q", "log_z", "log_kept", "kl")
ADAPTORS = [ad.Adaptor(temperature=0.8, top_p=0.9), ad.Adaptor(), ad.Adaptor(top_k=2)]
LM = TableLM.random(6, order=2, eos_token_id=0, seed=5)
PROMPTS = [[1, 2], [3, 4, 5, 1]]


def drawn(**kwargs):
    return ad.generate(
        LM, PROMPTS, adaptor=ADAPTORS[0], max_new_tokens=12, num_return_sequences=9, **kwargs
    )


def test_scores_of_drawn_strings_are_their_sums():
    out = drawn()
    scores = ad.score_strings(LM, out.prompts(), out.completions(), ADAPTORS)
    assert scores.log_p.shape == (3, 18)
    for name in SUMS:
        mine, theirs = getattr(scores, name)[0], getattr(out, name)
        torch.testing.assert_close(mine, theirs, rtol=1e-12, atol=1e-12)
    assert torch.equal(scores.length, out.length.expand(3, -1))
    assert torch.equal(scores.log_p[0], scores.log_p[1])
    assert torch.equal(scores.log_q[1], scores.log_p[1])
    assert not bool(scores.status[:2].any())


def test_scores_of_all_strings_are_the_enumeration():
    strings = enumerate_strings(LM, [1, 2], 4)
    texts = strings.completions()
    scores = ad.score_strings(LM, [[1, 2]] * len(texts), texts)
    torch.testing.assert_close(scores.log_p[0], strings.log_p, rtol=0, atol=2e-6)
    # A truncated law leaves strings out: -inf, never an error, and the rest sums to one.
    cut = ad.score_strings(LM, [[1, 2]] * len(texts), texts, ADAPTORS[2:])
    assert float(cut.log_q[0].exp().sum()) == pytest.approx(1, abs=1e-6)
    outside = cut.log_q[0] == -math.inf
    assert bool(outside.any())
    assert torch.equal(cut.status[0] == 3, outside)
    assert bool(cut.log_z.isfinite().all())


@pytest.mark.parametrize("batch_size", [1, 2, 5, 17])
def test_batch_size_changes_nothing(batch_size):
    out = drawn()
    texts = [*out.completions()[:-1], []]
    base = ad.score_strings(LM, out.prompts(), texts, ADAPTORS)
    other = ad.score_strings(LM, out.prompts(), texts, ADAPTORS, batch_size=batch_size)
    for a, b in zip(base, other, strict=True):
        assert torch.equal(a, b)


def test_empty_completions_are_zero():
    scores = ad.score_strings(LM, PROMPTS, [[], []], ADAPTORS)
    assert all(not bool(field.any()) for field in scores)
    assert scores.length.shape == (3, 2)


def test_padded_prompts_are_ragged_prompts():
    ids = torch.tensor([[0, 0, 1, 2], [3, 4, 5, 1]])
    mask = torch.tensor([[0, 0, 1, 1], [1, 1, 1, 1]])
    texts = [[1, 5, 0], [2]]
    base = ad.score_strings(LM, PROMPTS, texts)
    padded = ad.score_strings(LM, ids, texts, attention_mask=mask)
    assert all(torch.equal(a, b) for a, b in zip(base, padded, strict=True))


def test_bad_logits_make_nan_and_name_the_row():
    def fn(ids, mask):
        broken = (ids == 3).any(1, keepdim=True)
        return torch.where(broken, math.nan, torch.zeros(len(ids), 5))

    lm = FunctionLM(fn, vocab_size=5)
    laws = [ad.Adaptor(), ad.Adaptor(temperature=0)]
    scores = ad.score_strings(lm, [[1], [1], [3]], [[3, 1], [1, 3], [2]], laws)
    assert scores.status.tolist() == [[1, 0, 1], [1, 3, 1]]
    assert scores.log_p.isnan().tolist() == [[True, False, True]] * 2
    assert float(scores.log_p[0, 1]) == pytest.approx(-2 * math.log(5))


def test_equal_prompts_are_read_once():
    seen = []

    class Counting(TableLM):
        def prefill(self, ids, mask):
            seen.append(len(ids))
            return super().prefill(ids, mask)

    lm = Counting(LM.table.reshape(6, 6, 6), eos_token_id=0)
    ad.score_strings(lm, PROMPTS * 4, [[1, 2]] * 8)
    assert seen == [2]
