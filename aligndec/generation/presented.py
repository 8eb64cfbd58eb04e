"""How people read a run: its texts, a table, a few lines, a table in a notebook."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from aligndec.generation.columns import columns_of, summary_of
from aligndec.shared import as_frame, as_html, as_text

__all__ = ["Presented"]


class Presented:
    """What `Generation` and those that extend it have in common for the eye."""

    prompt_index: Tensor
    text: tuple[str, ...] | None
    prompt_text: tuple[str, ...] | None

    def completions(self) -> list[list[int]]:
        """Return the generated ids of each row without padding."""
        raise NotImplementedError

    def prompts(self) -> list[list[int]]:
        """Return the prompt ids of each row without padding."""
        raise NotImplementedError

    def texts(self, tokenizer: Any = None) -> list[str]:
        """Return the text of each string, without special tokens.

        Parameters
        ----------
        tokenizer : object, optional
            To decode with; needed only where the run was not given one.
        """
        if tokenizer is not None:
            return list(tokenizer.batch_decode(self.completions(), skip_special_tokens=True))
        return list(_known("texts", self.text))

    def prompt_texts(self, tokenizer: Any = None) -> list[str]:
        """Return the text of each row's prompt; see `texts`."""
        if tokenizer is not None:
            return list(tokenizer.batch_decode(self.prompts(), skip_special_tokens=True))
        texts = _known("prompt_texts", self.prompt_text)
        return [texts[i] for i in self.prompt_index.tolist()]

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the run as columns, a row per string; `datasets.Dataset.from_dict` takes them.

        Names and ids of prompts, texts where the run knows them, ids, sums, what a reward brought,
        and per-token fields as lists of the string's length.
        """
        return columns_of(self)

    def to_pandas(self) -> Any:
        """Return the same columns as a `pandas.DataFrame`."""
        return as_frame(f"{type(self).__name__}.to_pandas", self.to_dict())

    def __repr__(self) -> str:
        return as_text(*summary_of(self))

    def _repr_html_(self) -> str:
        return as_html(*summary_of(self))


def _known(method: str, texts: tuple[str, ...] | None) -> tuple[str, ...]:
    if texts is None:
        raise ValueError(
            f"Generation.{method}: tokenizer must be given, since the run was made without one, "
            "got None"
        )
    return texts
