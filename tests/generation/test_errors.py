"""generate and score_strings refuse before any work, and say what to do."""

import pytest
import torch

import aligndec as ad
from aligndec.testing.table_lm import TableLM

IDS = torch.tensor([[1, 2, 3], [3, 2, 1]])


class Untouched(TableLM):
    """Fails when any work is done."""

    def prefill(self, ids, mask):
        pytest.fail("the model was called")


LM = Untouched(torch.zeros(5, 5), eos_token_id=0)


@pytest.mark.parametrize(
    ("prompts", "mask", "error", "match"),
    [
        (IDS, [[1, 1, 0], [1, 1, 1]], ValueError, r"left padding.*right or inner.*rows \[0\]"),
        (IDS, [[1, 0, 1], [0, 1, 0]], ValueError, r"left padding.*rows \[0, 1\]"),
        (IDS, [[0, 0, 0], [1, 1, 1]], ValueError, r"at least one token.*prompts \[0\].*BOS"),
        (IDS, [[1, 1, 1]], ValueError, r"attention_mask must be \[P, T\] = \[2, 3\], got \[1, 3\]"),
        (IDS[0], None, ValueError, r"\[P >= 1, T >= 1\] or a list of lists, got \[3\]"),
        (IDS[:0], None, ValueError, r"got \[0, 3\]"),
        (IDS.float(), None, TypeError, "integers, got torch.float32"),
        (IDS + 2, None, ValueError, r"\[0, V\) = \[0, 5\), got 5 in row 0"),
        (-IDS, None, ValueError, "got -1 in row 0"),
        ([[1], []], None, ValueError, r"empty prompts \[1\]"),
        ([1, 2], None, ValueError, r"a flat list; wrap it: \[ids\]"),
        ([], None, ValueError, "no prompt"),
        ([[1], [7]], None, ValueError, "got 7 in row 1"),
        ([[1], [2]], [[1], [1]], ValueError, "must be None when input_ids is a list of lists"),
    ],
)
def test_prompts(prompts, mask, error, match):
    mask = None if mask is None else torch.tensor(mask)
    with pytest.raises(error, match=f"^generate: .*{match}"):
        ad.generate(LM, prompts, mask, max_new_tokens=2)
    with pytest.raises(error, match=f"^score_strings: .*{match}"):
        ad.score_strings(LM, prompts, [[1], [2]], attention_mask=mask)


@pytest.mark.parametrize(
    ("argument", "value", "match"),
    [
        ("max_new_tokens", 0, ">= 1, got 0"),
        ("num_return_sequences", 0, ">= 1, got 0"),
        ("batch_size", 0, ">= 1, got 0"),
        ("first_draw", -1, r"\[0, 2\^32 - num_return_sequences\], got -1"),
        ("first_draw", 2**32, "got 4294967296"),
        ("prompt_ids", [0], r"\[P\] = \[2\] in \[0, 2\^31\)"),
        ("prompt_ids", [0, -1], r"got \[0, -1\]"),
        ("prompt_ids", [0, 2**31], "got"),
        ("eos_token_id", [0, 5], r"\[0, 5\), got 5"),
        ("pad_token_id", -1, r"\[0, 5\), got -1"),
        ("adaptor", [ad.Adaptor()] * 3, "one or P = 2, got 3"),
        ("reference", TableLM(torch.zeros(4)), "vocab_size >= 5, got 4"),
    ],
)
def test_arguments(argument, value, match):
    kwargs = {"max_new_tokens": 2, argument: value}
    with pytest.raises(ValueError, match=f"^generate: {argument} must .*{match}"):
        ad.generate(LM, IDS, **kwargs)


@pytest.mark.parametrize(
    ("argument", "value", "match"),
    [
        ("max_new_tokens", None, "an int, got None"),
        ("max_new_tokens", 2.5, "an int, got 2.5"),
        ("num_return_sequences", "2", "an int, got '2'"),
        ("batch_size", 1.5, "an int, got 1.5"),
        ("seed", "a", "an int, got 'a'"),
        ("seed", torch.tensor([1, 2]), "an int, got tensor"),
        ("first_draw", 1.0, "an int, got 1.0"),
        ("prompt_ids", [0, 1.5], "of ints, got 1.5"),
        ("prompt_ids", "ab", "a sequence of ints, got 'ab'"),
        ("eos_token_id", 1.5, "a sequence of ints, got 1.5"),
        ("eos_token_id", ["a"], "of ints, got 'a'"),
        ("pad_token_id", True, "of ints, got True"),
        ("adaptor", None, "an Adaptor or P of them, got None"),
        ("on_token", 3, "callable, got 3"),
        ("input_ids", None, "Tensor .* or a list of lists of ids, got NoneType"),
        ("input_ids", "hello", "list of lists of ids, got str"),
        ("input_ids", {"input_ids": [[1]]}, "list of lists of ids, got dict"),
        ("attention_mask", [[1, 1, 1]] * 2, "a Tensor, got list"),
    ],
    ids=str,
)
def test_types_of_arguments(argument, value, match):
    kwargs = {"input_ids": IDS, "max_new_tokens": 2, argument: value}
    with pytest.raises(TypeError, match=f"^generate: {argument} must be .*{match}"):
        ad.generate(LM, **kwargs)


@pytest.mark.parametrize("rows", [[[1], [2.5]], [[1], ["a"]], [[1], None], [[1], "ab"]], ids=str)
def test_rows_are_ints(rows):
    with pytest.raises(TypeError, match=r"^generate: input_ids\[1\] must be .*ints, got"):
        ad.generate(LM, rows, max_new_tokens=2)
    with pytest.raises(TypeError, match=r"^score_strings: completions\[1\] must be .*ints, got"):
        ad.score_strings(LM, IDS, rows)


def test_ids_of_other_kinds_are_taken():
    lm = TableLM.random(5, order=1, eos_token_id=0)
    want = ad.generate(lm, IDS, max_new_tokens=2, eos_token_id=[0, 3], seed=0).tokens
    for prompts in (IDS.numpy(), list(IDS), [tuple(row) for row in IDS.int().numpy()]):
        out = ad.generate(lm, prompts, max_new_tokens=2, eos_token_id=torch.tensor([0, 3]), seed=0)
        assert torch.equal(out.tokens, want)
    one = ad.generate(lm, IDS, max_new_tokens=2, eos_token_id=torch.tensor(3))
    assert one.eos_token_id == (3,)


def test_types():
    with pytest.raises(TypeError, match="StepLM"):
        ad.generate(object(), IDS, max_new_tokens=2)
    with pytest.raises(TypeError, match="adaptor must be"):
        ad.generate(LM, IDS, adaptor=[0.7, 0.9], max_new_tokens=2)
    with pytest.raises(TypeError, match="adaptors must be a sequence of Adaptor"):
        ad.score_strings(LM, IDS, [[1], [2]], [])
    with pytest.raises(TypeError, match="adaptors must be a sequence of Adaptor, got Adaptor"):
        ad.score_strings(LM, IDS, [[1], [2]], ad.Adaptor())
    with pytest.raises(TypeError, match="completions must be N lists of ids, got NoneType"):
        ad.score_strings(LM, IDS, None)
    with pytest.raises(TypeError, match="GlobalSampler: adaptor must be an Adaptor or P of them"):
        ad.GlobalSampler(LM, 0.7, max_new_tokens=2)
    sampler = ad.GlobalSampler(LM, method="rejection", max_new_tokens=2)
    with pytest.raises(TypeError, match=r"sample: seed must be an int, got 'a'"):
        sampler.sample(IDS, n_samples=1, seed="a")


@pytest.mark.parametrize(
    ("completions", "kwargs", "match"),
    [
        ([[1]], {}, "N = 2 lists, got 1"),
        ([[1], [5]], {}, r"completions\[1\] must be in \[0, 5\), got 5"),
        ([[1], [2]], {"batch_size": 0}, "batch_size must be >= 1, got 0"),
    ],
)
def test_completions(completions, kwargs, match):
    with pytest.raises(ValueError, match=f"^score_strings: .*{match}"):
        ad.score_strings(LM, IDS, completions, **kwargs)
