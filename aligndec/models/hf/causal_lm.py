"""Adapter of transformers' causal models and their caches to the step protocol."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from aligndec.models.hf.by_length import ByLength
from aligndec.models.hf.checks import check_filled, checked_model

__all__ = ["HFCausalLM"]


@dataclass
class _HFState:
    """Cache plus what left padding needs: mask [B, capacity] and next position [B, 1], or None."""

    cache: Any
    mask: Tensor | None
    position: Tensor | None
    length: int


class HFCausalLM:
    """A transformers causal language model with its cache.

    Uses the public `forward` and `DynamicCache(config=...)`, so sliding-window, state-space and
    hybrid layers get their own kind of cache. Nothing of the model's generation config is applied;
    only its end and pad tokens are read. In low precision the logits of one row depend in their
    last bits on the rows beside it.

    Parameters
    ----------
    model : transformers.PreTrainedModel
        A decoder with a language-modelling head, in eval mode.

    Raises
    ------
    TypeError
        For encoder-decoder models, encoders, models without a head, and models whose cache cannot
        be passed to `forward` or gathered by rows, or does not hold all of their state.
    ValueError
        In training mode: dropout would make every logit another model's.
    """

    def __init__(self, model: Any) -> None:
        from aligndec.models.hf import cache, compat, positions

        head, self._accepts, self._cache_name = checked_model(model)
        self.model = model
        self._device = compat.device_of(model)
        self._moves = self._device == model.device  # no hook stands between ids and weights
        text = model.config.get_text_config(decoder=True)
        self.vocab_size = compat.outputs(head) or int(text.vocab_size)
        self.eos_token_id = self._special("eos")
        self.pad_token_id: int | None = next(iter(self._special("pad")), None)
        self._first_position = positions.first_position(model)
        self.max_positions = positions.max_positions(model)
        # An unsupported kind is refused here, not at the first select.
        empty = cache.made(model)
        self._has_states = any(map(compat.has_states, empty.layers))
        self._has_columns = any(map(compat.has_columns, empty.layers))
        self._own_layers = cache.is_own(empty)
        if self._own_layers:
            self.join = self._join
        scale = positions.scale_of_length(model)
        if scale is not None:
            fresh = partial(positions.forgets_scale, model)
            parts = ByLength(self, scale, fresh, at_once=not self._has_states)
            vars(self).pop("join", None)
            for name in ("prefill", "step", "extend", "select"):
                setattr(self, name, getattr(parts, name))

    @property
    def device(self) -> torch.device:
        """Where the model wants its ids."""
        return self.model.device if self._moves else self._device

    def prefill(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, _HFState]:
        """Run the prompts; only the last position's logits are formed."""
        from aligndec.models.hf import cache

        ids = ids.to(self.device)
        state = _HFState(cache.made(self.model), None, None, ids.shape[1])
        extra: dict[str, Tensor] = {}
        if not bool(mask.all()):  # without padding no mask at all: the model's faster path
            state.mask = mask.to(self.device, torch.int64)
            position = (state.mask.cumsum(1) - 1).clamp_(min=0)
            state.position = position[:, -1:] + 1
            positions = position + self._first_position
            extra = {"attention_mask": state.mask, "position_ids": positions}
        elif self._first_position:  # what forward assumes may not be what `generate` gives it
            columns = torch.arange(ids.shape[1], device=self.device)[None]
            extra = {"position_ids": columns + self._first_position}
        logits = self._forward(ids, state, extra, 1)[:, 0]
        check_filled(state.cache, self.model)
        return logits, state

    def step(self, tokens: Tensor, state: _HFState) -> tuple[Tensor, _HFState]:
        """Run one token per row on the cache."""
        logits, state = self._append(tokens[:, None], state)
        return logits[:, 0], state

    def extend(self, tokens: Tensor, state: _HFState) -> tuple[Tensor, _HFState]:
        """Run k given tokens per row, int64 [B, k]; return the logits after each, [B, k, V]."""
        if not self._has_states:
            return self._append(tokens, state)
        # A recurrent state continues from its state one token at a time.
        logits = []
        for column in tokens.unbind(1):
            one, state = self.step(column, state)
            logits.append(one)
        return torch.stack(logits, 1), state

    def _append(self, tokens: Tensor, state: _HFState) -> tuple[Tensor, _HFState]:
        count, start = tokens.shape[1], state.length
        state.length += count
        # What a model assumes without positions is not always right beside a cache.
        positions = torch.arange(count, device=self.device)[None] + self._first_position
        extra = {"position_ids": positions + (start if state.position is None else state.position)}
        if state.mask is not None and state.position is not None:
            if state.length > state.mask.shape[1]:  # double: O(1) per token on average
                grown = max(state.length, 2 * state.mask.shape[1]) - state.mask.shape[1]
                state.mask = torch.nn.functional.pad(state.mask, (0, grown), value=1)
            if self._has_columns:  # a recurrent state holds no padding
                extra["attention_mask"] = state.mask[:, : state.length]
            state.position = state.position + count
        return self._forward(tokens.to(self.device), state, extra, count), state

    def select(self, state: _HFState, index: Tensor) -> _HFState:
        """Gather the rows of the cache; the given state keeps its own tensors."""
        from aligndec.models.hf import cache

        index = index.to(self.device)
        return _HFState(
            cache.gathered(state.cache, index),
            None if state.mask is None else state.mask[index],
            None if state.position is None else state.position[index],
            state.length,
        )

    def _join(self, first: _HFState, second: _HFState) -> _HFState:
        """Stack the rows of two states; the shorter ones get padding on their left."""
        from aligndec.models.hf import cache

        both = (first, second)
        masks = [self._mask(state) for state in both]
        width = max(first.length, second.length)
        mask = torch.cat([cache.pad_left(m, width, 1) for m in masks])
        unused = int(mask.any(0).int().argmax())  # columns of strings that are gone
        position = [
            m.sum(1, keepdim=True) if s.position is None else s.position
            for s, m in zip(both, masks, strict=True)
        ]
        rows = cache.joined(first.cache, second.cache, width, unused)
        return _HFState(rows, mask[:, unused:], torch.cat(position), width - unused)

    def _mask(self, state: _HFState) -> Tensor:
        """Mask [rows, length] of the columns in use."""
        if state.mask is not None:
            return state.mask[:, : state.length]
        rows = next(len(x.keys) for x in state.cache.layers if x.is_initialized)
        return torch.ones(rows, state.length, dtype=torch.int64, device=self.device)

    def _forward(self, ids: Tensor, state: _HFState, extra: dict[str, Tensor], keep: int) -> Tensor:
        """Return the logits [B, keep, V] of the last positions."""
        kwargs: dict[str, Any] = {k: v for k, v in extra.items() if k in self._accepts}
        kwargs[self._cache_name] = state.cache
        if "logits_to_keep" in self._accepts:
            kwargs["logits_to_keep"] = keep
        # Where no gradient is wanted, inference mode spares every small operation its bookkeeping.
        # Only our own layers know what to do with such tensors when a gradient is wanted later.
        outside = torch.is_inference_mode_enabled()
        spare = self._own_layers and not torch.is_grad_enabled() and not outside
        with torch.inference_mode() if spare else nullcontext():
            out = self.model(input_ids=ids, use_cache=True, return_dict=True, **kwargs)
            logits: Tensor = out.logits[:, -keep:]
        if logits.dim() != 3 or logits.shape[::2] != (len(ids), self.vocab_size):
            raise TypeError(
                f"HFCausalLM: logits of model must be [B, T, V] = [{len(ids)}, T, "
                f"{self.vocab_size}], got {list(out.logits.shape)} from {type(self.model).__name__}"
            )
        # A tensor made in inference mode could not be used beside gradients later.
        return logits.clone() if spare else logits

    def _special(self, kind: str) -> tuple[int, ...]:
        """Return the model's own eos or pad ids: generation config first, then config."""
        value = None
        for config in (getattr(self.model, "generation_config", None), self.model.config):
            if value is None:
                value = getattr(config, f"{kind}_token_id", None)
        items = [value] if isinstance(value, int) else list(value or ())
        # Some checkpoints carry ids outside of the vocabulary (-1): no token, so as good as none.
        return tuple(int(i) for i in items if 0 <= i < self.vocab_size)
