"""What teacher-forced scoring returns."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from aligndec.shared import as_frame, as_html, as_text, place_columns, result
from aligndec.step import SUMS

__all__ = ["StringScores"]


class StringSums(NamedTuple):
    """Sums over given strings under A adaptors, all [A, N]."""

    log_p: Tensor
    log_q: Tensor
    log_z: Tensor
    log_kept: Tensor
    kl: Tensor
    length: Tensor
    status: Tensor


@result
class StringScores(StringSums):
    """Sums over given strings under A adaptors; see `aligndec.score_strings`.

    All fields are [A, N]: float64 `log_p, log_q, log_z, log_kept, kl`, int64 `length` (tokens
    counted) and `status` (0; 3: some token lies outside of its kept set, `log_q` is -inf; 5: some
    given set is not complete, all sums but `log_p` are NaN; 1 or 2: a row of logits was bad or left
    no token, the sums are NaN). What follows stands beside the fields of the tuple.

    Attributes
    ----------
    token_log_p, token_log_q, token_log_z, token_log_kept, token_kl : float64 [A, N, T] or None
        Of each token, with `per_token`; zeros after the end. T is the longest length.
    text, prompt_text : tuple of N str, or None
        The strings and their prompts, where a tokenizer was given.
    """

    token_log_p: Tensor | None = None
    token_log_q: Tensor | None = None
    token_log_z: Tensor | None = None
    token_log_kept: Tensor | None = None
    token_kl: Tensor | None = None
    text: tuple[str, ...] | None = None
    prompt_text: tuple[str, ...] | None = None

    def with_tokens(self, *books: Tensor) -> StringScores:
        """Return the same sums with the books of each token, in the order of the fields."""
        out = StringScores(*self)
        out.text, out.prompt_text = self.text, self.prompt_text
        for name, value in zip(SUMS, books, strict=True):
            setattr(out, f"token_{name}", value)
        return out

    def texts(self) -> list[str]:
        """Return the texts of the N strings; a tokenizer must have been given."""
        return _known("texts", self.text)

    def prompt_texts(self) -> list[str]:
        """Return the texts of their prompts."""
        return _known("prompt_texts", self.prompt_text)

    def to_dict(self) -> dict[str, list[Any]]:
        """Return columns with a row for every adaptor and string."""
        out: dict[str, list[Any]] = dict(place_columns(("adaptor", "string"), self.log_p))
        for name in ("prompt_text", "text"):
            if (texts := getattr(self, name)) is not None:
                out[name] = [texts[i] for i in out["string"]]
        fields = {name: getattr(self, name) for name in (*SUMS, "length", "status")}
        return out | {name: x.reshape(-1).tolist() for name, x in fields.items()}

    def to_pandas(self) -> Any:
        """Return the same columns as a `pandas.DataFrame`."""
        return as_frame("StringScores.to_pandas", self.to_dict())

    def __repr__(self) -> str:
        return as_text(self._title(), self.to_dict())

    def _repr_html_(self) -> str:
        return as_html(self._title(), self.to_dict())

    def _title(self) -> str:
        adaptors, strings = self.log_p.shape
        return f"StringScores: {strings} strings under {adaptors} adaptors"


def _known(method: str, texts: tuple[str, ...] | None) -> list[str]:
    if texts is None:
        raise ValueError(
            f"StringScores.{method}: score_strings must have been given a tokenizer, got none"
        )
    return list(texts)
