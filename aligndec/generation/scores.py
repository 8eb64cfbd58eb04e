"""What teacher-forced scoring returns."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from aligndec.shared import as_frame, as_html, as_text, place_columns, result
from aligndec.step import SUMS

__all__ = ["StringScores"]


class _Sums(NamedTuple):
    log_p: Tensor
    log_q: Tensor
    log_z: Tensor
    log_kept: Tensor
    kl: Tensor
    length: Tensor
    status: Tensor


@result
class StringScores(_Sums):
    """Sums over given strings under A adaptors; see `aligndec.score_strings`.

    All fields are [A, N]: float64 `log_p, log_q, log_z, log_kept, kl`, int64 `length` (tokens
    counted) and `status` (0; 3: some token lies outside of its kept set, `log_q` is -inf; 1 or 2: a
    row of logits was bad, the sums are NaN). Beside the fields, where a tokenizer was given: `text`
    and `prompt_text`, tuples of the N strings and their prompts.
    """

    text: tuple[str, ...] | None = None
    prompt_text: tuple[str, ...] | None = None

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
