"""What is known of a model that runs in an engine."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

__all__ = ["Head"]


class Head:
    """What `prepare` asks of a model, and nothing that decodes."""

    device = torch.device("cpu")

    def __init__(self, vocab_size: int, eos_token_id: tuple[int, ...]) -> None:
        self.vocab_size, self.eos_token_id = vocab_size, eos_token_id

    def prefill(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Any]:
        """Not here: the engine decodes."""
        raise NotImplementedError

    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Not here: the engine decodes."""
        raise NotImplementedError

    def select(self, state: Any, index: Tensor) -> Any:
        """Not here: the engine decodes."""
        raise NotImplementedError
