"""Whether strings fit into the positions of a model: asked before any work."""

from __future__ import annotations

from typing import Any

from torch import Tensor

__all__ = ["check_lengths"]


def check_lengths(function: str, lm: Any, mask: Tensor, new_tokens: int, name: str) -> None:
    """Refuse prompts [P, T] that, with so many tokens behind them, are longer than a model.

    The last token is never read, so it needs no position.
    """
    limit = getattr(lm, "max_positions", None)
    if limit is None:
        return
    longest = int(mask.sum(1).max())
    if longest > limit:
        raise ValueError(
            f"{function}: input_ids must have <= {limit} tokens in every prompt, the positions of "
            f"the model, got {longest}; cut them"
        )
    room = limit - longest + 1
    if new_tokens > room:
        raise ValueError(
            f"{function}: {name} must be <= {room} (the model has {limit} positions, the longest "
            f"prompt {longest} tokens), got {new_tokens}"
        )
