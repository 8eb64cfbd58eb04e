"""Text in, text out: prompts as strings, chats or what a tokenizer returned."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from torch import Tensor

from aligndec.generation.prompts import Prompts
from aligndec.generation.result import Generation

__all__ = ["TextPrompts", "completion_ids", "read_prompts"]

G = TypeVar("G", bound=Generation)


@dataclass(frozen=True)
class TextPrompts:
    """Prompts as ids and mask, and as texts where they were texts."""

    input_ids: Prompts
    attention_mask: Tensor | None
    tokenizer: Any = None
    given: tuple[str | None, ...] | None = None

    def tell(self, generation: G) -> G:
        """Return a `Generation` with the texts of its prompts and strings."""
        if self.tokenizer is None:
            return generation
        ids, mask = generation.input_ids, generation.attention_mask
        text, prompt_text = self.tell_rows(ids, mask, generation.completions())
        return dataclasses.replace(generation, text=text, prompt_text=prompt_text)

    def tell_rows(
        self, ids: Tensor, mask: Tensor, completions: list[list[int]]
    ) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
        """Return the texts of strings, and of the prompts `ids` [P, T]: as given, or decoded."""
        if self.tokenizer is None:
            return None, None
        prompts = [row[real].tolist() for row, real in zip(ids, mask, strict=True)]
        told = _decoded(self.tokenizer, prompts)
        if self.given is not None:
            told = tuple(d if g is None else g for g, d in zip(self.given, told, strict=True))
        return _decoded(self.tokenizer, completions), told


def read_prompts(
    function: str, tokenizer: Any, given: Any, attention_mask: Tensor | None
) -> TextPrompts:
    """Turn prompts into token ids where a tokenizer is given.

    Parameters
    ----------
    function : str
        Named in errors.
    tokenizer : object, optional
        Callable on a text, with `batch_decode`, as transformers' tokenizers are; None:
        the prompts are ids and stay as they are.
    given : text, chat, BatchEncoding, or a sequence of P of these or of ids; or int64 [P, T]
        A text is encoded as it stands; a chat (`[{"role": ..., "content": ...}, ...]`) by the
        tokenizer's template, with the start of an answer, or so that its last message goes on
        where that is the assistant's. Of a BatchEncoding the tokens that its mask names are read.
        However they came, prompts begin with one BOS where the tokenizer sets one, and do not end
        with an EOS that it adds. An empty text is a BOS, where there is one.
    attention_mask : [P, T], optional
        Only with int64 [P, T].
    """
    if tokenizer is None:
        return TextPrompts(given, attention_mask)
    if not callable(tokenizer) or not hasattr(tokenizer, "batch_decode"):
        raise TypeError(
            f"{function}: tokenizer must be callable and have batch_decode, as those of "
            f"transformers, got {type(tokenizer).__name__}"
        )
    if isinstance(given, Tensor | np.ndarray):
        return TextPrompts(given, attention_mask, tokenizer)  # type: ignore[arg-type]
    items = _items(given)
    if not any(isinstance(item, str | Mapping) or _is_chat(item) for item in items):
        return TextPrompts(given, attention_mask, tokenizer)
    if attention_mask is not None:
        raise ValueError(
            f"{function}: attention_mask must be None when input_ids is text, chats or what a "
            "tokenizer returned, got a mask"
        )
    ends = _Ends(tokenizer)
    rows: list[list[int]] = []
    told: list[str | None] = []
    for i, item in enumerate(items):
        where = f"{function}: input_ids[{i}]"
        if isinstance(item, str):
            new = [ends.text(list(tokenizer(item)["input_ids"]))]
        elif isinstance(item, Mapping):
            new = [ends.given(row) for row in _batch(where, item)]
        elif _is_chat(item):
            new = [ends.chat(_chat(where, tokenizer, item))]
        else:
            new = [item]
        rows += new
        told += [item if isinstance(item, str) else None] * len(new)
    return TextPrompts(rows, None, tokenizer, tuple(told))


def completion_ids(tokenizer: Any, given: Any) -> Any:
    """Token ids of completions, of which some may be texts; nothing is added to a text."""
    if tokenizer is None or isinstance(given, str) or not isinstance(given, Sequence):
        return given
    if not any(isinstance(item, str) for item in given):
        return given
    ends = _Ends(tokenizer)
    return [
        ends.bare(list(tokenizer(item)["input_ids"])) if isinstance(item, str) else item
        for item in given
    ]


def _items(given: Any) -> list[Any]:
    """Prompts one by one; a text, a chat or an encoding alone is one of them."""
    if isinstance(given, str | Mapping) or _is_chat(given):
        return [given]
    return list(given) if isinstance(given, Sequence) else []


def _is_chat(item: Any) -> bool:
    return (
        isinstance(item, Sequence)
        and not isinstance(item, str)
        and len(item) > 0
        and all(isinstance(message, Mapping) and "role" in message for message in item)
    )


def _batch(where: str, encoding: Mapping[str, Any]) -> list[list[int]]:
    """Rows of real tokens of what a tokenizer returned for one text or several."""
    if "input_ids" not in encoding:
        raise TypeError(
            f"{where} must be a text, a chat (a list of messages), ids or a BatchEncoding with "
            f"input_ids, got {type(encoding).__name__} with {', '.join(map(str, encoding))}"
        )
    ids, mask = (_lists(encoding.get(name)) for name in ("input_ids", "attention_mask"))
    if ids and not isinstance(ids[0], list):
        ids, mask = [ids], [mask]
    masks = mask or [[1] * len(row) for row in ids]
    return [
        [token for token, real in zip(row, kept or [1] * len(row), strict=True) if real]
        for row, kept in zip(ids, masks, strict=True)
    ]


def _lists(value: Any) -> Any:
    if value is None:
        return None
    if hasattr(value, "tolist"):
        return value.tolist()
    return [row.tolist() if hasattr(row, "tolist") else row for row in value]


def _chat(where: str, tokenizer: Any, messages: Any) -> list[int]:
    if not getattr(tokenizer, "chat_template", None):
        raise ValueError(
            f"{where} must be a text or ids, since this tokenizer has no chat_template, got a "
            "chat; set tokenizer.chat_template"
        )
    goes_on = messages[-1]["role"] == "assistant"
    try:
        ids = tokenizer.apply_chat_template(
            list(messages),
            add_generation_prompt=not goes_on,
            continue_final_message=goes_on,
            tokenize=True,
            return_dict=False,
        )
    except Exception as error:  # a template is a program of its own
        raise ValueError(
            f"{where} must be a chat that the tokenizer's template takes, got "
            f"{str(messages)[:100]} ({type(error).__name__}: {str(error)[:200]})"
        ) from error
    return list(ids)


class _Ends:
    """What a tokenizer puts before and behind a text; it is asked when it matters."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.bos = getattr(tokenizer, "bos_token_id", None)
        self.eos = getattr(tokenizer, "eos_token_id", None)

    @cached_property
    def _adds(self) -> tuple[bool, bool]:
        """Whether it adds a BOS, an EOS."""
        ids = list(self._tokenizer("a")["input_ids"])
        return len(ids) > 1 and ids[0] == self.bos, len(ids) > 1 and ids[-1] == self.eos

    def text(self, ids: list[int]) -> list[int]:
        """One BOS, no EOS; of an empty text a BOS."""
        ids = self.given(ids)
        return [self.bos] if not ids and self.bos is not None else ids

    def given(self, ids: list[int]) -> list[int]:
        """One BOS at most, not the EOS that the tokenizer adds."""
        if self.eos is not None and ids[-1:] == [self.eos] and self._adds[1]:
            ids = ids[:-1]
        return ids[1:] if self._twice(ids) and self._adds[0] else ids

    def chat(self, ids: list[int]) -> list[int]:
        """One BOS at most: templates bring their own."""
        return ids[1:] if self._twice(ids) else ids

    def bare(self, ids: list[int]) -> list[int]:
        """Return the text's own tokens alone."""
        ids = self.given(ids)
        return ids[1:] if self.bos is not None and ids[:1] == [self.bos] and self._adds[0] else ids

    def _twice(self, ids: list[int]) -> bool:
        return self.bos is not None and ids[:2] == [self.bos] * 2


def _decoded(tokenizer: Any, rows: list[list[int]]) -> tuple[str, ...]:
    return tuple(tokenizer.batch_decode(rows, skip_special_tokens=True)) if rows else ()
