"""What a loop asked of a model."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from aligndec.models.step_lm import StepLM

__all__ = ["Counted"]


class Counted:
    """A `StepLM` that counts its forwards and the tokens it reads (padding of prompts aside)."""

    def __init__(self, lm: StepLM) -> None:
        self.lm = lm
        self.vocab_size, self.eos_token_id, self.device = lm.vocab_size, lm.eos_token_id, lm.device
        self.pad_token_id: int | None = getattr(lm, "pad_token_id", None)
        self.forwards = self.tokens = 0
        self.max_positions: int | None = getattr(lm, "max_positions", None)
        # Optional members stay optional.
        if hasattr(lm, "extend"):
            self.extend = self._extend
        if hasattr(lm, "join"):
            self.join = lm.join

    def prefill(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Any]:
        """Count and read prompts."""
        self._count(int(mask.sum()))
        return self.lm.prefill(ids, mask)

    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Count and append a token per row."""
        self._count(tokens.numel())
        return self.lm.step(tokens, state)

    def select(self, state: Any, index: Tensor) -> Any:
        """Gather rows of a state; costs no forward."""
        return self.lm.select(state, index)

    def _extend(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        self._count(tokens.numel())
        out: tuple[Tensor, Any] = self.lm.extend(tokens, state)  # type: ignore[attr-defined]
        return out

    def _count(self, tokens: int) -> None:
        self.forwards += 1
        self.tokens += tokens
