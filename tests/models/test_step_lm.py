"""Step models: what counts as one, the conformance check, and its negative controls."""

import math

import pytest
import torch

from aligndec.models import FunctionLM, StepLM, as_step_lm
from aligndec.testing.check_step_lm import check_step_lm
from aligndec.testing.table_lm import TableLM, enumerate_strings


def prefix_logits(ids, mask):
    """A little model of the whole prefix; padding does not enter."""
    position = mask.cumsum(1) * mask
    total = ((ids + 1) * position * mask).sum(1, keepdim=True)
    return torch.sin(total * torch.arange(1, 12) * 0.37) * 2


def padded_logits(ids, mask):
    """The same without respect for the mask."""
    return prefix_logits(ids, torch.ones_like(mask))


def test_step_lm_is_returned_unchanged():
    lm = TableLM.random(4)
    assert as_step_lm(lm) is lm
    assert isinstance(lm, StepLM)


def test_other_objects_are_refused_with_what_they_lack():
    with pytest.raises(TypeError, match=r"StepLM.*Linear without .*prefill.*FunctionLM"):
        as_step_lm(torch.nn.Linear(2, 2))
    wrapper = type("PeftModel", (torch.nn.Linear,), {"get_base_model": lambda self: self})(2, 2)
    with pytest.raises(TypeError, match=r"got PeftModel .*; pass its get_base_model\(\)"):
        as_step_lm(wrapper)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_table_lm_conforms_exactly(order):
    assert check_step_lm(TableLM.random(5, order=order, eos_token_id=1), atol=0) == {
        "cache": 0.0,
        "padding": 0.0,
        "select": 0.0,
        "reuse": 0.0,
        "extend": 0.0,
        "join": 0.0,
    }


def test_function_lm_conforms_exactly():
    check_step_lm(FunctionLM(prefix_logits, vocab_size=11), steps=9, atol=0)


def test_negative_control_ignored_padding_is_found():
    with pytest.raises(AssertionError, match="padding"):
        check_step_lm(FunctionLM(padded_logits, vocab_size=11))


def test_negative_control_stale_cache_is_found():
    class Stale(TableLM):
        def step(self, tokens, state):
            return self._logits(state), state

    with pytest.raises(AssertionError, match="cache"):
        check_step_lm(Stale(TableLM.random(5, order=1).table))


def test_negative_control_wrong_gather_is_found():
    class Unordered(TableLM):
        def select(self, state, index):
            return state[index.sort().values]

    with pytest.raises(AssertionError, match="select"):
        check_step_lm(Unordered(TableLM.random(5, order=2).table.reshape(5, 5, 5)))


def test_negative_control_shared_state_is_found():
    class Shared(FunctionLM):
        def select(self, state, index):
            if torch.equal(index, torch.arange(len(state.ids))):
                return state
            return super().select(state, index)

    with pytest.raises(AssertionError, match=r"select|reuse"):
        check_step_lm(Shared(prefix_logits, vocab_size=11))


def test_negative_control_nan_is_no_agreement():
    lm = FunctionLM(lambda ids, mask: torch.full((len(ids), 3), math.nan), vocab_size=3)
    with pytest.raises(AssertionError, match="cache"):
        check_step_lm(lm)


def test_function_lm_checks_the_shape_it_gets():
    lm = FunctionLM(lambda ids, mask: torch.zeros(len(ids), 7), vocab_size=8)
    ids = torch.zeros(2, 3, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"\[B, V\] = \[2, 8\], got \[2, 7\]"):
        lm.prefill(ids, ids == 0)


def test_eos_must_be_in_the_vocabulary():
    with pytest.raises(ValueError, match=r"FunctionLM: eos_token_id must be in \[0, 8\), got 8"):
        FunctionLM(prefix_logits, vocab_size=8, eos_token_id=[1, 8])
    with pytest.raises(ValueError, match="TableLM: table must be"):
        TableLM(torch.zeros(2, 3))


def test_table_lm_needs_its_context():
    with pytest.raises(ValueError, match="TableLM: prompts must have >= 2 tokens"):
        enumerate_strings(TableLM.random(3, order=2), [1], 2)


def test_enumeration_by_hand():
    # Two tokens; 1 ends the string. From 0: stop with 1/4. Memory of one token.
    lm = TableLM(torch.tensor([[0.75, 0.25], [0.5, 0.5]]).log(), eos_token_id=1)
    strings = enumerate_strings(lm, [0], 3)
    assert strings.completions() == [[0, 0, 0], [0, 0, 1], [0, 1], [1]]
    assert strings.finished.tolist() == [False, True, True, True]
    expected = torch.tensor([27 / 64, 9 / 64, 3 / 16, 1 / 4], dtype=torch.float64)
    torch.testing.assert_close(strings.log_p.exp(), expected, rtol=1e-7, atol=0)


@pytest.mark.parametrize("order", [0, 1, 2])
def test_enumeration_sums_to_one(order):
    lm = TableLM.random(5, order=order, eos_token_id=(0, 3))
    strings = enumerate_strings(lm, [1, 2], 4)
    assert len(set(map(tuple, strings.completions()))) == len(strings.length)
    assert float(strings.log_p.exp().sum()) == pytest.approx(1, abs=1e-12)
    own = strings.index_of(strings.tokens, strings.length)
    assert torch.equal(own, torch.arange(len(own)))


def test_enumeration_leaves_out_tokens_that_never_come():
    table = torch.tensor([0.0, -math.inf, 0.0])
    strings = enumerate_strings(TableLM(table), [0], 2)
    assert strings.completions() == [[0, 0], [0, 2], [2, 0], [2, 2]]
