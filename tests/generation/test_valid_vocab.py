"""Ids behind the vocabulary do not exist, whoever draws; a tokenizer says where they begin."""

import pytest
import torch

import aligndec as ad
from aligndec import transfer_q
from aligndec.models import narrowed
from aligndec.testing import TableLM, check_step_lm

V, VALID = 12, 7
LM = TableLM(torch.randn(V, V, generator=torch.Generator().manual_seed(0)), eos_token_id=(0, 9))
SMALL = TableLM(LM.table[:VALID, :VALID].contiguous(), eos_token_id=0)
PROMPTS = [[1, 2], [3]]


class Words:
    """A tokenizer of seven words."""

    def __len__(self):
        return VALID

    def __call__(self, text):
        return {"input_ids": [int(word) for word in text.split()]}

    def batch_decode(self, rows, skip_special_tokens=True):
        return [" ".join(map(str, row)) for row in rows]


@pytest.mark.parametrize("how", [{"valid_vocab": VALID}, {"tokenizer": Words()}])
def test_generate_draws_from_the_smaller_law(how):
    kwargs = dict(max_new_tokens=9, num_return_sequences=20, seed=3, adaptor=ad.Adaptor(top_p=0.9))
    out = ad.generate(LM, PROMPTS, reference=LM, **how, **kwargs)
    small = ad.generate(SMALL, PROMPTS, reference=SMALL, **kwargs)
    assert int(out.tokens.max()) < VALID
    for name in ("tokens", "log_p", "log_q", "log_z", "log_p_ref"):
        assert torch.equal(getattr(out, name), getattr(small, name)), name
    # Without it the head is drawn from whole.
    assert int(ad.generate(LM, PROMPTS, **kwargs).tokens.max()) >= VALID


def test_it_is_the_valid_vocab_of_the_step():
    logits = LM.prefill(torch.tensor(PROMPTS[:1]), torch.ones(1, 2, dtype=torch.bool))[0]
    want = ad.sample(logits, seed=3, positions=0, valid_vocab=VALID)
    out = ad.generate(LM, PROMPTS[:1], max_new_tokens=1, seed=3, valid_vocab=VALID)
    assert (out.tokens[0, 0], out.log_p[0]) == (want.token[0], want.log_p[0])


def test_the_other_loops():
    texts = [[1, 2, 0], [4]]
    scores = ad.score_strings(LM, PROMPTS, texts, valid_vocab=VALID)
    assert torch.equal(scores.log_p, ad.score_strings(SMALL, PROMPTS, texts).log_p)
    kwargs = dict(max_new_tokens=4)
    one, two = (
        ad.GlobalSampler(lm, ad.Adaptor(top_k=3), **more, **kwargs).sample(
            PROMPTS, n_samples=5, seed=1
        )
        for lm, more in ((LM, {"valid_vocab": VALID}), (SMALL, {}))
    )
    assert one.samples().completions() == two.samples().completions()
    one, two = (
        transfer_q.TransferQ(lm, lambda p, c: [float(len(x)) for x in c], k=3, **more).generate(
            PROMPTS, max_new_tokens=4, seed=1
        )
        for lm, more in ((LM, {"valid_vocab": VALID}), (SMALL, {}))
    )
    assert one.completions() == two.completions()


def test_a_narrowed_model_keeps_the_contract():
    lm = narrowed("f", LM, VALID)
    assert (lm.vocab_size, lm.eos_token_id) == (VALID, (0,))
    assert max(check_step_lm(lm).values()) == 0
    assert narrowed("f", LM, V) is LM
    assert narrowed("f", SMALL, None, list(range(V))) is SMALL  # a tokenizer may know more ids


@pytest.mark.parametrize("valid", [0, V + 1, -1])
def test_range(valid):
    with pytest.raises(
        ValueError, match=rf"generate: valid_vocab must be in \[1, V\].*got {valid}"
    ):
        ad.generate(LM, PROMPTS, max_new_tokens=1, valid_vocab=valid)
