"""A model and how far it has read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from aligndec.models import Counted

__all__ = ["Cursor"]


@dataclass(frozen=True)
class Cursor:
    """Where a model stands in m strings: `logits` [m, V] of the next tokens, and its state."""

    lm: Counted
    logits: Tensor
    state: Any

    @classmethod
    def read(cls, lm: Counted, ids: Tensor, mask: Tensor) -> Cursor:
        """Read prompts, left padded [m, T]."""
        return cls(lm, *lm.prefill(ids, mask))

    def select(self, index: Tensor) -> Cursor:
        """Gather rows; this cursor stays usable. For no rows the model is not asked."""
        state = self.lm.select(self.state, index) if len(index) > 0 else None
        return Cursor(self.lm, self.logits[index], state)

    def branch(self, index: Tensor, tokens: Tensor) -> Cursor:
        """Gather rows and append a token to each; this cursor stays usable."""
        return Cursor(self.lm, *self.lm.step(tokens, self.lm.select(self.state, index)))

    def feed(self, tokens: Tensor) -> Cursor:
        """Append a token to each row; this cursor is used up."""
        return Cursor(self.lm, *self.lm.step(tokens, self.state))
