"""Language models as the loops see them: prefill once, step token by token, gather rows.

A model is anything with the members of `StepLM`. `HFCausalLM` wraps a transformers model with
its key-value (or recurrent) cache, `FunctionLM` wraps a plain function of the whole prefix.
`prepack` makes a torch model faster on a CPU.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from aligndec.models.hf import HFCausalLM
from aligndec.ops import compat
from aligndec.shared import plain_arguments, token_ids

__all__ = ["FunctionLM", "StepLM", "as_step_lm"]


@runtime_checkable
class StepLM(Protocol):
    """What a causal language model has to offer; no base class is needed.

    `ids` int64 [B, T] are left padded and `mask` bool [B, T] is True at real tokens (the last
    column always is). Logits are [B, V] of the next token in float32, float16 or bfloat16, on any
    device. The state is opaque. `step` may reuse the state it was given (the caller forgets it);
    `select` must leave its argument usable, so that one prefill serves many continuations.

    Optional, found by `hasattr`: `pad_token_id` (int or None); `max_positions` (int or None), the
    tokens that it has positions for; `extend(tokens [B, k], state) ->
    (logits [B, k, V], state)`, several known tokens at once (scoring is faster with it);
    `join(first, second) -> state`, the rows of two states, which may be of different lengths
    (rejection then keeps its batch full); `score(ids, mask) -> log_p` per token;
    `rollback(state, n)`.
    """

    @property
    def vocab_size(self) -> int:
        """V, the width of the logits; a plain attribute does."""

    @property
    def eos_token_id(self) -> tuple[int, ...]:
        """The model's end tokens, possibly none; a plain attribute does."""

    @property
    def device(self) -> torch.device:
        """Where the model wants its ids; a plain attribute does."""

    def prefill(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Any]:
        """Read the prompts [B, T]; return the next-token logits [B, V] and the state."""

    def step(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Append one token per row, int64 [B]; return the next logits [B, V] and the state."""

    def select(self, state: Any, index: Tensor) -> Any:
        """Gather the rows `index` int64 [B2] of a state: repeat, drop or reorder."""


_MEMBERS = ("vocab_size", "eos_token_id", "device", "prefill", "step", "select")


def as_step_lm(model: Any) -> StepLM:
    """Return `model` as a `StepLM`.

    Parameters
    ----------
    model : StepLM or transformers.PreTrainedModel
        A `StepLM` is returned unchanged, a transformers model becomes an `HFCausalLM`.

    Raises
    ------
    TypeError
        For anything else; the message names what is missing.
    """
    missing = [name for name in _MEMBERS if not hasattr(model, name)]
    if not missing:
        return model  # type: ignore[no-any-return]
    # A transformers model can only exist once transformers was imported: no import here.
    transformers = sys.modules.get("transformers")
    if transformers is not None and isinstance(model, transformers.PreTrainedModel):
        return HFCausalLM(model)
    inner = _inside(model)
    if inner is not None:
        return as_step_lm(inner)
    if isinstance(model, str | os.PathLike):
        raise TypeError(
            f"as_step_lm: model must be a model, got the name {os.fspath(model)!r:.80}; load it: "
            "model, tokenizer = aligndec.load(name)"
        )
    if transformers is not None and isinstance(model, transformers.Pipeline):
        raise TypeError(
            f"as_step_lm: model must be a model, got {type(model).__name__}; pass its .model, and "
            "its .tokenizer as tokenizer="
        )
    peft = "pass its get_base_model(), which keeps adapters of layers (LoRA)"
    instead = peft if hasattr(model, "get_base_model") else "wrap a torch module in FunctionLM"
    raise TypeError(
        "as_step_lm: model must be a StepLM or a transformers PreTrainedModel, got "
        f"{type(model).__name__} without {', '.join(missing)}; {instead}"
    )


def _inside(model: Any) -> Any:
    """Return what is in a wrapper that changes no number: of torch.compile, DataParallel, DDP."""
    parallel = torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel
    if isinstance(model, parallel):
        return model.module
    return compat.compiled_module(model)


@dataclass
class _Prefix:
    """The tokens read so far: buffers [B, capacity], of which `length` columns are used."""

    ids: Tensor
    mask: Tensor
    length: int


class FunctionLM:
    """A model given by one stateless function of the whole prefix.

    Every step evaluates the full prefix, so this is the simplest oracle, not the fastest model.

    Parameters
    ----------
    fn : callable
        `fn(ids int64 [B, T], mask bool [B, T]) -> logits [B, V]` of the next token. Prompts are
        left padded; the mask is True at real tokens, and a function that does not respect it
        gives padded rows another law.
    vocab_size : int
        V.
    eos_token_id : int or sequence of int
        Tokens that end a string; none by default.
    device : str or torch.device
        Where `fn` wants its ids.
    """

    @plain_arguments
    def __init__(
        self,
        fn: Callable[[Tensor, Tensor], Tensor],
        *,
        vocab_size: int,
        eos_token_id: int | Sequence[int] = (),
        device: str | torch.device = "cpu",
    ) -> None:
        if vocab_size < 1:
            raise ValueError(f"FunctionLM: vocab_size must be >= 1, got {vocab_size}")
        self.fn = fn
        self.vocab_size = vocab_size
        self.eos_token_id = token_ids("FunctionLM: eos_token_id", eos_token_id, vocab_size)
        self.device = torch.device(device)

    def prefill(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, _Prefix]:
        """Evaluate `fn` on the prompts."""
        state = _Prefix(ids.to(self.device), mask.to(self.device), ids.shape[1])
        return self._logits(state), state

    def step(self, tokens: Tensor, state: _Prefix) -> tuple[Tensor, _Prefix]:
        """Append a column and evaluate `fn` on the longer prefix."""
        capacity = state.ids.shape[1]
        if state.length == capacity:  # double, so that appending is O(1) on average
            state.ids = torch.nn.functional.pad(state.ids, (0, capacity))
            state.mask = torch.nn.functional.pad(state.mask, (0, capacity), value=True)
        state.ids[:, state.length] = tokens.to(self.device)
        state.length += 1
        return self._logits(state), state

    def select(self, state: _Prefix, index: Tensor) -> _Prefix:
        """Gather rows into new buffers."""
        index = index.to(self.device)
        return _Prefix(state.ids[index], state.mask[index], state.length)

    def join(self, first: _Prefix, second: _Prefix) -> _Prefix:
        """Stack rows; the shorter prefixes get padding on their left."""
        length = max(first.length, second.length)

        def padded(state: _Prefix, name: str) -> Tensor:
            used: Tensor = getattr(state, name)[:, : state.length]
            return torch.nn.functional.pad(used, (length - state.length, 0))

        ids, mask = (torch.cat([padded(s, n) for s in (first, second)]) for n in ("ids", "mask"))
        return _Prefix(ids, mask, length)

    def _logits(self, state: _Prefix) -> Tensor:
        ids, mask = state.ids[:, : state.length], state.mask[:, : state.length]
        logits = self.fn(ids.clone(), mask.clone())  # its arguments are its own to change
        if logits.shape != (ids.shape[0], self.vocab_size):
            raise ValueError(
                f"FunctionLM: fn must return logits [B, V] = [{ids.shape[0]}, {self.vocab_size}], "
                f"got {list(logits.shape)}"
            )
        return logits
