"""What must not change a string: batch, order, padding, splitting, compaction. Bit for bit."""

import pytest
import torch
from support.counting import Counting

import aligndec as ad
from aligndec.generation import decode
from aligndec.models import FunctionLM
from aligndec.testing.table_lm import TableLM

PROMPTS = [[1, 2], [3, 4, 5, 1], [2, 2, 2]]
FIELDS = ("length", "finished", "status", "log_p", "log_q", "log_z", "log_kept", "kl", "log_p_ref")


def prefix_logits(ids, mask):
    position = mask.cumsum(1) * mask
    total = ((ids + 1) * position).sum(1, keepdim=True)
    return torch.sin(total * torch.arange(1, 7) * 0.37) * 2


MODELS = {
    "table": TableLM.random(6, order=2, eos_token_id=0, seed=5),
    "function": FunctionLM(prefix_logits, vocab_size=6, eos_token_id=0),
}
REFERENCE = TableLM.random(6, order=1, seed=6)
ADAPTOR = ad.Adaptor(temperature=0.9, top_p=0.9)


@pytest.fixture(params=MODELS)
def lm(request):
    return MODELS[request.param]


def run(lm, prompts=PROMPTS, **kwargs):
    defaults = dict(
        adaptor=ADAPTOR, max_new_tokens=9, seed=4, num_return_sequences=5, reference=REFERENCE
    )
    return ad.generate(lm, prompts, **{**defaults, **kwargs})


def assert_same(a, b, rows=None):
    """Rows of `a` (all by default) against all rows of `b`."""
    if rows is not None:
        a = a.select(torch.as_tensor(rows))
    assert a.completions() == b.completions()
    for name in FIELDS:
        assert torch.equal(getattr(a, name), getattr(b, name)), name


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 5, 7, 10, 14, 15, 99])
def test_batch_size(lm, batch_size):
    assert_same(run(lm), run(lm, batch_size=batch_size))


def test_order_of_prompts(lm):
    turned = run(lm, [PROMPTS[i] for i in (2, 0, 1)], prompt_ids=[2, 0, 1])
    assert_same(run(lm), turned, [*range(10, 15), *range(0, 5), *range(5, 10)])


def test_split_into_calls_by_draws(lm):
    whole, first = run(lm), run(lm, num_return_sequences=2)
    assert_same(whole, first, [0, 1, 5, 6, 10, 11])
    rest = run(lm, num_return_sequences=3, first_draw=2)
    assert_same(whole, rest, [2, 3, 4, 7, 8, 9, 12, 13, 14])
    assert torch.equal(rest.draw, torch.tensor([2, 3, 4] * 3))


def test_one_prompt_alone(lm):
    alone = run(lm, PROMPTS[1:2], prompt_ids=torch.tensor([1]))
    assert_same(run(lm), alone, range(5, 10))


def test_left_padding_is_ragged_is_unpadded(lm):
    width = 6
    ids = torch.full((3, width), -100)  # what lies under the mask is never read
    mask = torch.zeros(3, width, dtype=torch.int64)
    for i, prompt in enumerate(PROMPTS):
        ids[i, width - len(prompt) :] = torch.tensor(prompt)
        mask[i, width - len(prompt) :] = 1
    padded = run(lm, ids, attention_mask=mask)
    assert_same(run(lm), padded)
    assert padded.input_ids.shape == (3, 4)
    assert_same(run(lm, ids, attention_mask=mask.bool(), batch_size=1), padded)
    whole = run(lm, torch.tensor(PROMPTS[2:]), prompt_ids=[2])
    assert_same(padded, whole, range(10, 15))


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_compaction_on_is_off(lm, share, monkeypatch):
    base = run(lm, num_return_sequences=20, max_new_tokens=40, per_token=True)
    monkeypatch.setattr(decode, "COMPACT_AT", share)
    other = run(lm, num_return_sequences=20, max_new_tokens=40, per_token=True)
    assert_same(base, other)
    assert torch.equal(base.tokens, other.tokens)
    for name in ("log_p", "log_q", "log_z", "log_kept", "kl", "log_p_ref"):
        assert torch.equal(getattr(base, f"token_{name}"), getattr(other, f"token_{name}"))


def test_compaction_with_one_adaptor_per_prompt(lm, monkeypatch):
    adaptors = [ad.Adaptor(top_k=2), ad.Adaptor(temperature=2.0), ad.Adaptor(min_p=0.2)]
    base = run(lm, adaptor=adaptors, max_new_tokens=40)
    monkeypatch.setattr(decode, "COMPACT_AT", 0.0)
    assert_same(base, run(lm, adaptor=adaptors, max_new_tokens=40))
    assert_same(base, run(lm, adaptor=adaptors, max_new_tokens=40, batch_size=2))


def test_sparser_checks_give_the_same(lm, monkeypatch):
    # Where the loop asks for the end less often, rows run on as finished rows.
    base = run(lm, max_new_tokens=40)
    monkeypatch.setattr(decode, "CPU_CHECK_EVERY", 8)
    assert_same(base, run(lm, max_new_tokens=40))


def test_the_seed_and_only_the_seed_changes_them(lm):
    assert run(lm, seed=5).completions() != run(lm).completions()
    torch.manual_seed(99)
    assert_same(run(lm), run(lm))


def test_each_prompt_is_read_once_for_all_its_draws(lm):
    for batch_size in (None, 2, 7, 10):
        counting = Counting(lm)
        run(counting, batch_size=batch_size)
        assert sum(counting.prompts) == 3
        assert max(counting.steps) <= (batch_size or 15)


def test_finished_rows_stop_costing():
    lm = TableLM(torch.tensor([0.0, 0.0, 0.0, 0.0]), eos_token_id=0)
    counting = Counting(lm)
    out = run(counting, [[1]], num_return_sequences=512, max_new_tokens=200, reference=None)
    counted = int(out.length.sum())
    assert counting.steps[0] == 512
    assert counting.steps[-1] < 16
    assert sum(counting.steps) < 1.6 * counted  # all to the end would be over 6 times
