"""KeptSets and LogitBias as data, and what is refused of them."""

import re
from collections.abc import Callable

import pytest
import torch
from support.cases import NAN, randn
from support.sparse_cases import random_bias, random_sets

import aligndec as ad

LISTS = [[3, 1], [], [0, 4, 2], [5]]


def test_lists_masks_and_back() -> None:
    sets = ad.KeptSets.from_lists(LISTS)
    assert (sets.ids.dtype, sets.offsets.dtype) == (torch.int32, torch.int64)
    assert sets.ids.tolist() == [1, 3, 0, 2, 4, 5]
    assert sets.offsets.tolist() == [0, 2, 2, 5, 6]
    assert sets.complete.all()
    mask = sets.mask(7)
    assert mask.nonzero().tolist() == [[0, 1], [0, 3], [2, 0], [2, 2], [2, 4], [3, 5]]
    back = ad.KeptSets.from_mask(mask)
    assert all(torch.equal(a, b) for a, b in zip(back, sets, strict=True))
    assert ad.KeptSets.from_mask(mask[:0]).offsets.tolist() == [0]
    hidden = sets._replace(complete=torch.tensor([True, True, False, True]))
    assert hidden.mask(7).sum(1).tolist() == [2, 0, 0, 1]


def test_select_and_cat() -> None:
    sets = random_sets(9, 30, 1)
    index = torch.tensor([4, 4, 0, 8])
    picked = sets.select(index)
    assert picked.lists() == [sets.lists()[i] for i in index]
    assert torch.equal(picked.complete, sets.complete[index])
    assert torch.equal(picked.mask(30), sets.mask(30)[index])
    halves = [sets.select(torch.arange(0, 4)), sets.select(torch.arange(4, 9))]
    assert all(torch.equal(a, b) for a, b in zip(ad.KeptSets.cat(halves), sets, strict=True))
    assert ad.KeptSets.cat([]).batch == 0
    bias = random_bias(9, 30, 2)
    chosen = bias.select(index)
    for new, old in enumerate(index):
        a, b = bias.offsets[old], bias.offsets[old + 1]
        c, d = chosen.offsets[new], chosen.offsets[new + 1]
        assert torch.equal(chosen.ids[c:d], bias.ids[a:b])
        assert torch.equal(chosen.values[c:d], bias.values[a:b])


def sets_of(**parts: torch.Tensor) -> ad.KeptSets:
    return ad.KeptSets.from_lists([[1, 3], [2]])._replace(**parts)


def bias_of(**parts: torch.Tensor) -> ad.LogitBias:
    good = ad.LogitBias(torch.tensor([1, 3, 2]).int(), torch.tensor([0, 2, 3]), torch.ones(3))
    return good._replace(**parts)


X, TOKEN = randn(2, 6, 1), torch.tensor([1, 2])


def score(**options: object) -> Callable[[], ad.Step]:
    return lambda: ad.score(X, TOKEN, **options)


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "duplicates": (lambda: ad.KeptSets.from_lists([[1, 2, 1]]), "without duplicates, got 1 twice"),
    "negative": (lambda: ad.KeptSets.from_lists([[-1]]), r"in \[0, 2\^20\), got -1 in row 0"),
    "words": (lambda: ad.KeptSets.from_lists([["a"]]), "lists of ints, got 'a'"),
    "mask of numbers": (lambda: ad.KeptSets.from_mask(X), r"bool \[B, V\], got"),
    "beyond V in a mask": (lambda: sets_of().mask(3), r"in \[0, V\) = \[0, 3\), got 3"),
    "index": (lambda: sets_of().select(torch.tensor([0.5])), r"int64 \[B2\], got"),
    "unsorted": (score(kept=sets_of(ids=torch.tensor([3, 1, 2]).int())), "got 3 before 1"),
    "twice": (score(kept=sets_of(ids=torch.tensor([1, 1, 2]).int())), "got 1 before 1"),
    "beyond V": (score(kept=sets_of(ids=torch.tensor([1, 6, 2]).int())), r"in \[0, V\).*got 6"),
    "wide ids": (score(kept=sets_of(ids=torch.tensor([1, 3, 2]))), r"ids must be int32 \[nnz\]"),
    "too few rows": (score(kept=ad.KeptSets.from_lists([[1]])), r"offsets must be int64 \[B \+ 1"),
    "falling": (score(kept=sets_of(offsets=torch.tensor([0, 3, 2]))), "ascending from 0 to nnz"),
    "past nnz": (score(kept=sets_of(offsets=torch.tensor([0, 3, 9]))), "ascending from 0 to nnz"),
    "complete": (score(kept=sets_of(complete=torch.ones(3))), r"complete must be bool \[B\]"),
    "list": (score(kept=[[1], [2]]), "KeptSets or a bool Tensor, got"),
    "mask shape": (score(kept=torch.ones(3, 6, dtype=torch.bool)), r"broadcasts to \[2, 6\], got"),
    "a cut": (score(kept=sets_of(), adaptor=ad.Adaptor(top_p=0.9)), "alone .*, got top_p=0.9"),
    "a packed cut": (
        score(kept=sets_of(), adaptor=ad.pack([ad.Adaptor(), ad.Adaptor(top_k=3)], 2)),
        "alone .*, got packed adaptors that cut",
    ),
    "bias NaN": (score(bias=bias_of(values=torch.tensor([1.0, NAN, 0.0]))), "finite or -inf.*nan"),
    "bias +inf": (
        score(bias=bias_of(values=torch.tensor([1.0, torch.inf, 0.0]))),
        "finite or -inf, got inf",
    ),
    "bias double": (score(bias=bias_of(values=torch.ones(3).double())), r"values must be float32"),
    "bias unsorted": (score(bias=bias_of(ids=torch.tensor([3, 1, 2]).int())), "got 3 before 1"),
    "bias dict": (score(bias={1: 2.0}), "a LogitBias, got"),
    "max_ids": (lambda: ad.kept_sets(X, max_ids=0), "max_ids must be >= 1, got 0"),
    "max_ids float": (lambda: ad.sample_with_sets(X, max_ids=1.5, positions=0), "an int, got 1.5"),
}


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    call, message = REFUSED[name]
    with pytest.raises((ValueError, TypeError), match=message) as error:
        call()
    text = str(error.value)
    assert re.match(r"^[A-Za-z_.]+: [a-z_.]+ must be ", text), text
    assert len(text) < 1000


@pytest.mark.usefixtures("native")
def test_the_kernel_looks_at_ids_itself() -> None:
    """A direct call of the op with rows that do not ascend must not reach the kernel."""
    params = ad.pack(ad.Adaptor(), 2).params
    sets = ad.KeptSets.from_lists([[1, 3], [2]])
    for wrong in (torch.tensor([3, 1, 2]), torch.tensor([-1, 1, 2])):
        rows = (None, None, None, wrong.int(), sets.offsets, sets.complete)
        with pytest.raises(ValueError, match=r"^adaptor_score: kept must be rows of ids"):
            torch.ops.aligndec.adaptor_score(X, params, None, 6, TOKEN, None, *rows)
    beyond = (None, None, None, torch.tensor([1, 3, 99]).int(), sets.offsets, sets.complete)
    step = torch.ops.aligndec.adaptor_score(X, params, None, 6, TOKEN, None, *beyond)
    assert step[8].tolist() == [0, 2]


@pytest.mark.usefixtures("backend")
def test_large_sets_are_not_stored() -> None:
    x = randn(4, 50, 1)
    x[2] = -40.0
    x[2, 7] = 0.0
    a = ad.Adaptor(min_p=1e-9)
    step, sets = ad.sample_with_sets(x, a, max_ids=10, positions=0)
    assert sets.complete.tolist() == [False, False, True, False]
    assert sets.lists() == [[], [], [7], []]
    replay = ad.score(x, step.token, kept=sets, strict=False)
    assert replay.status.tolist() == [5, 5, 0, 5]
    assert torch.equal(replay.log_p, step.log_p)
