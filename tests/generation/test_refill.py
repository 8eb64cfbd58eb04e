"""Continuous batching draws the strings of `generate`, whatever runs beside them."""

import pytest
import torch

import aligndec as ad
from aligndec.generation import generate_refilled
from aligndec.testing import TableLM

PROMPTS = [[1, 2, 3], [4], [5, 6], [7] * 5, [2, 9]]
FIELDS = (*("tokens", "length", "status", "finished", "draw", "prompt_index"),
          *("log_p", "log_q", "log_z", "log_kept", "kl"))  # fmt: skip
ADAPTORS = {
    "identity": ad.Adaptor(),
    "truncated": ad.Adaptor(temperature=0.8, top_p=0.9),
    "stateful": ad.Adaptor(mirostat_tau=1.5),
}
RUN = dict(max_new_tokens=17, seed=3, num_return_sequences=7)


class NoJoin:
    """A model that cannot join rows."""

    def __init__(self, lm):
        self.lm = lm
        self.vocab_size, self.eos_token_id, self.device = lm.vocab_size, lm.eos_token_id, lm.device
        self.prefill, self.step, self.select = lm.prefill, lm.step, lm.select


@pytest.mark.parametrize("adaptor", ADAPTORS.values(), ids=ADAPTORS)
@pytest.mark.parametrize("slots", [1, 2, 5, 35, 99])
@pytest.mark.parametrize("wrap", [lambda lm: lm, NoJoin], ids=["join", "no join"])
def test_the_strings_of_generate(adaptor, slots, wrap):
    lm = TableLM.random(12, eos_token_id=0, scale=1.0)
    expected = ad.generate(lm, PROMPTS, adaptor=adaptor, **RUN)
    found = generate_refilled(wrap(lm), PROMPTS, adaptor=adaptor, slots=slots, **RUN)
    assert {True, False} == set(expected.finished.tolist())
    for name in FIELDS:
        assert torch.equal(getattr(found, name), getattr(expected, name)), name


def test_with_a_reference_and_bad_logits():
    lm, other = (TableLM.random(12, eos_token_id=0, seed=s) for s in (0, 1))
    lm.table[5] = torch.nan
    expected = ad.generate(lm, PROMPTS, reference=other, **RUN)
    found = generate_refilled(lm, PROMPTS, reference=other, slots=3, **RUN)
    assert set(expected.finish_reason) == {"eos", "length", "error"}
    for name in (*FIELDS, "log_p_ref"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name


def test_slots_are_refilled():
    """The model steps as often as full slots need, not as often as batches need."""
    steps = []

    class Watched(TableLM):
        def step(self, tokens, state):
            steps.append(len(tokens))
            return super().step(tokens, state)

    lm = Watched.random(12, eos_token_id=0, scale=1.0)
    run = {**RUN, "num_return_sequences": 40}
    found = generate_refilled(lm, PROMPTS, slots=8, **run)
    refilled, rows = len(steps), max(steps)
    steps.clear()
    ad.generate(lm, PROMPTS, batch_size=8, **run)
    assert rows == 8
    assert refilled < 0.75 * len(steps)
    assert refilled >= int(found.length.sum()) / 8 - 1


def test_slots_must_be_there():
    with pytest.raises(ValueError, match="slots must be >= 1"):
        generate_refilled(TableLM.random(5), [[1]], max_new_tokens=2, seed=0, slots=0)
