"""How a reward function wants to be called: by the names of its parameters where they are known."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

__all__ = ["caller"]

_PROMPTS = ("prompts", "prompt", "prompt_texts", "prompt_text", "questions", "queries")
_COMPLETIONS = ("completions", "completion", "completion_texts", "responses", "response", "answers")
_IDS = {"prompt_ids": "prompt_ids", "completion_ids": "completion_ids"}
_KINDS = {name: "prompts" for name in _PROMPTS} | {name: "completions" for name in _COMPLETIONS}
_PAIR = ("prompts", "completions")
_OFFERED = {True: (*_PAIR, *_IDS), False: _PAIR}
"""What a function with `**kwargs` gets, of texts and of ids."""
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_SINGLE = (*_POSITIONAL, inspect.Parameter.KEYWORD_ONLY)

Given = Callable[[str], Any]
Call = Callable[[Given], Any]


def caller(where: str, fn: Callable[..., Any], *, texts: bool) -> Call:
    """Return how to call `fn` with what there is, by name: prompts, completions and their ids.

    Parameters named after the prompts or the completions get them, in any order; one function of
    TRL, `fn(prompts, completions, **kwargs)`, takes the ids too. Without such names the prompts
    come first, and a function of texts with one parameter gets the completions.

    Raises
    ------
    TypeError
        Where the parameters cannot be told apart.
    """
    try:
        parameters = list(inspect.signature(fn).parameters.values())
    except (TypeError, ValueError):  # written in C, and silent about its parameters
        return _by_position(fn, _PAIR)
    known = _KINDS | (_IDS if texts else {"prompt_ids": "prompts", "completion_ids": "completions"})
    kinds = {p.name: known[p.name] for p in parameters if p.name in known and p.kind in _SINGLE}
    needed = [p for p in parameters if p.kind in _SINGLE and p.default is p.empty]
    takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters)
    order = ("completions",) if texts and len(needed) == 1 else _PAIR
    of_needed = [kinds.get(p.name) for p in needed]
    told_apart = None not in of_needed and len(set(of_needed)) == len(needed)
    # A function of ids alone that takes one thing is one of texts, as a rule.
    enough = takes_all or len(kinds) >= len(order)
    if told_apart and (kinds or takes_all) and _judges(kinds, takes_all) and enough:
        return _by_name(fn, parameters, kinds, _OFFERED[texts] if takes_all else ())
    if not needed and not kinds:  # such as (*args, **kwargs), which say nothing
        free = sum(p.kind in _POSITIONAL for p in parameters)
        if free >= 2 or any(p.kind is p.VAR_POSITIONAL for p in parameters):
            return _by_position(fn, _PAIR)
    in_place = all(kind in (None, place) for kind, place in zip(of_needed, order, strict=False))
    if len(needed) == len(order) and None in of_needed and in_place:
        if all(p.kind in _POSITIONAL for p in needed):
            return _by_position(fn, order)
    raise TypeError(_refusal(where, parameters, texts))


def _judges(kinds: Mapping[str, str], takes_all: bool) -> bool:
    """Whether a function gets to see the completions."""
    return takes_all or not {"completions", "completion_ids"}.isdisjoint(kinds.values())


def _by_position(fn: Callable[..., Any], order: Sequence[str]) -> Call:
    return lambda given: fn(*(given(kind) for kind in order))


def _by_name(
    fn: Callable[..., Any],
    parameters: Sequence[inspect.Parameter],
    kinds: Mapping[str, str],
    offered: Sequence[str],
) -> Call:
    """Call by the names of `kinds`; with `offered` also by those that the names leave out."""
    first = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY and p.name in kinds]
    rest = {kind: kind for kind in offered if kind not in kinds.values()}
    rest |= {name: kind for name, kind in kinds.items() if name not in first}

    def call(given: Given) -> Any:
        before = [given(kinds[name]) for name in first]
        return fn(*before, **{name: given(kind) for name, kind in rest.items()})

    return call


def _refusal(where: str, parameters: list[inspect.Parameter], texts: bool) -> str:
    got = f"{len(parameters)} parameters ({', '.join(map(str, parameters))[:200]})"
    if texts:
        return (
            f"{where} must take (completions) or (prompts, completions), got {got}; parameters of "
            "these names may stand in any order"
        )
    return (
        f"{where} must take (prompt_ids, completion_ids), by these names in any order or by "
        f"position, got {got}; wrap a function of texts in rewards.TextReward(fn, tokenizer)"
    )
