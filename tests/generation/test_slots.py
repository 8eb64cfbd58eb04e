"""batch_size="auto": as many rows as there is memory for, and the same strings."""

import pytest
import torch

import aligndec as ad
from aligndec.generation import planned_slots, slots
from aligndec.models import free_memory, row_bytes, tensor_bytes
from aligndec.testing import TableLM

PROMPTS = [[1, 2, 3], [4], [5, 6]]
IDS, MASK = torch.tensor([[0, 1, 2], [3, 4, 5]]), torch.tensor([[0, 1, 1], [1, 1, 1]]).bool()


def test_the_strings_do_not_depend_on_it(monkeypatch):
    lm = TableLM.random(12, eos_token_id=0)
    run = dict(max_new_tokens=9, seed=1, num_return_sequences=5)
    expected = ad.generate(lm, PROMPTS, **run)
    assert torch.equal(ad.generate(lm, PROMPTS, batch_size="auto", **run).tokens, expected.tokens)
    each = row_bytes(lm, IDS, MASK, 9)
    monkeypatch.setattr(slots, "free_memory", lambda device: 5 * each)
    sizes = []
    step = lm.step
    lm.step = lambda tokens, state: sizes.append(len(tokens)) or step(tokens, state)
    found = ad.generate(lm, PROMPTS, batch_size="auto", **run)
    assert torch.equal(found.tokens, expected.tokens)
    assert max(sizes) == 2


def test_a_row_costs_its_state_at_full_length_and_its_logits():
    """Of a model whose state is the ids: 2 (room) · 8 bytes · (3 + 9) tokens, 16 bytes a logit."""
    lm = ad.FunctionLM(lambda ids, mask: torch.zeros(len(ids), 12), vocab_size=12)
    ids, mask = IDS[1:], MASK[1:]
    assert tensor_bytes(lm.prefill(ids, mask)[1]) == 3 * 8 + 3
    assert row_bytes(lm, ids, mask, 9) == 2 * 27 * (3 + 9) // 3 + 16 * 12


@pytest.mark.parametrize(
    ("free", "workers", "rows", "expected"),
    [
        (0, 1, 99, 1),
        (10**12, 1, 99, 64),
        (10**12, 1, 7, 7),
        (2, 1, 99, 1),
        (20, 1, 99, 8),
        (20, 2, 99, 4),
    ],
)
def test_powers_of_two_that_fit(monkeypatch, free, workers, rows, expected):
    lm = TableLM.random(12)
    each = row_bytes(lm, IDS[1:], MASK[1:], 5)
    monkeypatch.setattr(slots, "free_memory", lambda device: free * each)
    assert planned_slots([lm], IDS, MASK, 5, rows, workers=workers) == expected


def test_memory_of_this_machine():
    assert free_memory(torch.device("cpu")) > 2**20


def test_tensors_are_counted_once():
    x = torch.zeros(10)
    assert tensor_bytes({"a": [x, (x,)], "b": torch.nn.Linear(3, 3)}) == 40


def test_another_word_is_refused():
    with pytest.raises(TypeError, match="batch_size must be an int"):
        ad.generate(TableLM.random(5), [[1]], max_new_tokens=2, batch_size="much")
