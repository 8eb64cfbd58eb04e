"""A model without the ids behind its vocabulary."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from aligndec.models.step_lm import StepLM
from aligndec.shared import whole

__all__ = ["Narrowed", "narrowed", "tokenizer_size"]


class Narrowed:
    """A `StepLM` whose logits end at V' < V.

    Heads are padded to round sizes, and the ids behind the vocabulary have logits too. Here they do
    not exist: what the step gives is what it gives with `valid_vocab`, since the rows that it sees
    end there. Logits are views, nothing is copied.
    """

    def __init__(self, lm: StepLM, size: int) -> None:
        self.lm, self.vocab_size, self.device = lm, size, lm.device
        self.eos_token_id = tuple(i for i in lm.eos_token_id if i < size)
        pad = getattr(lm, "pad_token_id", None)
        self.pad_token_id: int | None = pad if pad is not None and pad < size else None
        self.max_positions: int | None = getattr(lm, "max_positions", None)
        # Optional members stay optional.
        if hasattr(lm, "extend"):
            self.extend = self._extend
        for name in ("join", "rollback"):
            if hasattr(lm, name):
                setattr(self, name, getattr(lm, name))

    def prefill(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Any]:
        """Read prompts."""
        return self._cut(*self.lm.prefill(ids, mask))

    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Append a token per row."""
        return self._cut(*self.lm.step(tokens, state))

    def select(self, state: Any, index: Tensor) -> Any:
        """Gather rows of a state."""
        return self.lm.select(state, index)

    def _extend(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        return self._cut(*self.lm.extend(tokens, state))  # type: ignore[attr-defined]

    def _cut(self, logits: Tensor, state: Any) -> tuple[Tensor, Any]:
        return logits[..., : self.vocab_size], state


def narrowed(function: str, lm: StepLM, valid_vocab: int | None, tokenizer: Any = None) -> StepLM:
    """Return the model without the ids from `valid_vocab` on.

    Parameters
    ----------
    function : str
        Named in errors.
    lm : StepLM
    valid_vocab : int, optional
        In [1, V]. None: the size of the tokenizer where one is given and smaller than V, else V.
    tokenizer : object, optional
    """
    size = lm.vocab_size
    if valid_vocab is None:
        valid = min(size, tokenizer_size(tokenizer) or size)
    else:
        valid = whole(function, "valid_vocab", valid_vocab)
    if not 1 <= valid <= size:
        raise ValueError(f"{function}: valid_vocab must be in [1, V] = [1, {size}], got {valid}")
    return lm if valid == size else Narrowed(lm, valid)


def tokenizer_size(tokenizer: Any) -> int | None:
    """Count the ids of a tokenizer, added ones included; None where it does not say."""
    if not hasattr(tokenizer, "__len__"):
        return None
    # Added tokens may stand behind a hole.
    added: Mapping[int, Any] = getattr(tokenizer, "added_tokens_decoder", {})
    return max([len(tokenizer), *(i + 1 for i in added)])
