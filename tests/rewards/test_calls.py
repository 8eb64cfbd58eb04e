"""What reward functions are given, how they are called and what they may return."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from support.tiny_tokenizers import tiny_tokenizer

from aligndec import RewardError, testing
from aligndec.rewards import RewardCalls, TextReward
from aligndec.transfer_q import BestOfN, TransferQ

PROMPTS, COMPLETIONS = [[1], [2, 3]], [[4, 5], [6]]


def rewarded(fn: Callable[..., Any]) -> list[float]:
    return RewardCalls("f", "reward", fn)(PROMPTS, COMPLETIONS).tolist()


def returning(value: Any) -> Callable[[Any, Any], Any]:
    return lambda p, c: value


@pytest.mark.parametrize(
    "value",
    [
        torch.tensor([1, 2]),
        torch.tensor([1.0, 2.0], dtype=torch.bfloat16, requires_grad=True),
        torch.tensor([1.0, 2.0]).to_sparse(),
        np.array([1.0, 2.0], np.float16),
        [torch.tensor(1.0), np.int64(2)],
        (1, 2.0),
        range(1, 3),
    ],
)
def test_numbers_in_an_order_are_rewards(value: Any) -> None:
    assert rewarded(returning(value)) == [1.0, 2.0]


def test_a_generator_is_read_and_its_error_is_the_rewards() -> None:
    assert rewarded(lambda p, c: (float(len(x)) for x in c)) == [2.0, 1.0]
    with pytest.raises(RewardError, match="ZeroDivisionError"):
        rewarded(lambda p, c: (1 / 0 for _ in c))


@pytest.mark.parametrize(
    "value",
    [
        {0: 0.5, 1: 0.5},
        {1.0, 2.0},
        "12",
        b"12",
        None,
        [None, 1.0],
        ["1", "2"],
        [1.0, 10**400],
        [1.0, float("nan")],
        torch.tensor(1.0),
        torch.ones(2, 2),
        torch.empty(2, device="meta"),
        1.0,
        [1.0],
        {0: 1.0, 1: 2.0}.values().mapping,
    ],
)
def test_anything_else_is_refused_in_few_words(value: Any) -> None:
    with pytest.raises(RewardError) as caught:
        rewarded(returning(value))
    assert len(str(caught.value)) < 1000


def test_long_answers_make_short_errors() -> None:
    with pytest.raises(RewardError) as caught:
        rewarded(returning(["x" * 10**6] * 2))
    assert len(str(caught.value)) < 1000
    assert caught.value.items == [0, 1]


def test_ids_go_to_the_parameters_of_their_names() -> None:
    assert rewarded(lambda completion_ids, prompt_ids: [c[0] for c in completion_ids]) == [4, 6]
    assert rewarded(lambda *, completions, prompts: [p[0] for p in prompts]) == [1, 2]
    assert rewarded(lambda completions, **kwargs: [len(p) for p in kwargs["prompts"]]) == [1, 2]
    assert rewarded(lambda **kwargs: [len(p) for p in kwargs["completions"]]) == [2, 1]
    assert rewarded(lambda *args: [len(p) for p in args[1]]) == [2, 1]

    def ordered(completions: Any, prompts: Any, /) -> Any:
        return [len(c) for c in completions]

    assert rewarded(ordered) == [2, 1]


@pytest.mark.parametrize(
    "fn",
    [
        lambda texts: [0.0] * len(texts),
        lambda completions, x: [0.0],
        lambda completions, responses: [0.0],
        lambda a, b, c: [0.0],
        lambda p, *, strange: [0.0],
        lambda: [0.0],
    ],
)
def test_what_cannot_be_told_apart_is_refused_before_any_call(fn: Any) -> None:
    with pytest.raises(TypeError, match=r"f: reward must take.*TextReward"):
        RewardCalls("f", "reward", fn)


def test_text_functions_in_the_manner_of_trl() -> None:
    tokenizer = tiny_tokenizer()
    texts = ["the a", "film"]
    seen: dict[str, Any] = {}

    def trl(prompts: Any, completions: Any, **kwargs: Any) -> list[float]:
        seen.update(prompts=prompts, completions=completions, **kwargs)
        return [0.0] * len(completions)

    TextReward(trl, tokenizer)(PROMPTS, COMPLETIONS)
    assert seen["completions"] == texts
    assert seen["completion_ids"] == COMPLETIONS
    assert seen["prompts"] == ["", ""]  # special tokens are left out
    assert seen["prompt_ids"] == PROMPTS
    swapped = TextReward(lambda completions, prompts: completions, tokenizer)
    assert swapped(PROMPTS, COMPLETIONS) == texts
    assert TextReward(lambda x: x, tokenizer)(PROMPTS, COMPLETIONS) == texts
    with pytest.raises(TypeError, match="TextReward: fn must take"):
        TextReward(lambda texts, prompts: texts, tokenizer)


def test_a_function_of_texts_without_its_wrapper_is_told_of_it() -> None:
    with pytest.raises(RewardError, match="TextReward"):
        rewarded(lambda p, c: [x.count("a") + x.lower() for x in c])


def changing(p: list[list[int]], c: list[list[int]]) -> list[float]:
    for x, y in zip(p, c, strict=True):
        x += y
    rewards = [float(len(x)) for x in p]
    p.clear(), c.clear()
    return rewards


def pure(p: list[list[int]], c: list[list[int]]) -> list[float]:
    return [float(len(x) + len(y)) for x, y in zip(p, c, strict=True)]


def test_what_a_reward_does_to_its_lists_changes_nothing() -> None:
    lm = testing.TableLM.random(8)
    one, two = (
        TransferQ(lm, f, k=3, rollout_tokens=2).generate(
            [[1], [2]], max_new_tokens=5, seed=1, eos_token_id=()
        )
        for f in (changing, pure)
    )
    assert one.reward.tolist() == two.reward.tolist() == [6.0, 6.0]
    assert one.completions() == two.completions()


def test_a_dict_is_no_reward() -> None:
    lm = testing.TableLM.random(8)
    chosen = BestOfN(lm, lambda p, c: {i: 0.5 for i in range(len(c))}, n=3)
    with pytest.raises(RewardError, match="one number per item = 3"):
        chosen.generate([[1]], max_new_tokens=2)


def test_what_a_value_function_or_a_model_does_to_its_arguments_changes_nothing() -> None:
    from aligndec import FunctionLM, generate

    table = torch.randn(8, 8, generator=torch.Generator().manual_seed(0))

    def value(p: Any, c: Any, tokens: torch.Tensor) -> torch.Tensor:
        out = tokens.double()
        p[0].append(7), c[0].append(7)
        tokens.zero_()
        return out

    def calm(p: Any, c: Any, tokens: torch.Tensor) -> torch.Tensor:
        return tokens.double()

    lm = testing.TableLM(table)
    one, two = (
        TransferQ(lm, pure, k=3, value_fn=f).generate([[1]], max_new_tokens=5, seed=1)
        for f in (value, calm)
    )
    assert one.completions() == two.completions()
    assert one.reward.tolist() == [6.0]

    def scribbling(ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        out = table[ids[:, -1]]
        ids.zero_(), mask.zero_()
        return out

    drawn = [
        generate(FunctionLM(f, vocab_size=8), [[1, 2], [3]], max_new_tokens=4, seed=2)
        for f in (scribbling, lambda ids, mask: table[ids[:, -1]])
    ]
    assert drawn[0].completions() == drawn[1].completions()
    assert drawn[0].prompts() == [[1, 2], [3]]
