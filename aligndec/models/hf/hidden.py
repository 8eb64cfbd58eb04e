"""A transformers model in two parts, for training: the last hidden states, and the linear head."""

from __future__ import annotations

import inspect
import sys
from typing import Any

import torch
from torch import Tensor

from aligndec.models.hf.causal_lm import HFCausalLM

__all__ = ["HiddenLM", "hidden_lm"]


class HiddenLM:
    """A transformers causal model as hidden states and a head, without a cache.

    Gradients flow through both; unlike `HFCausalLM` it may be in training mode (dropout then makes
    every pass another law).

    Parameters
    ----------
    model : transformers.PreTrainedModel
        A decoder whose logits are `hidden @ weight.T + bias`.

    Attributes
    ----------
    weight : [V, D]
    bias : [V] or None
    """

    def __init__(self, model: Any) -> None:
        head = model.get_output_embeddings()
        if head is None or model.config.is_encoder_decoder:
            raise TypeError(
                "HiddenLM: model must be decoder-only with a language-modelling head, got "
                f"{type(model).__name__}; load it with AutoModelForCausalLM"
            )
        self.model = model
        self.weight: Tensor = head.weight
        self.bias: Tensor | None = getattr(head, "bias", None)
        self.vocab_size = int(head.weight.shape[0])
        self.eos_token_id: tuple[int, ...] = ()
        self.device: torch.device = model.device

    @property
    def training(self) -> bool:
        """Whether the model is in training mode."""
        return bool(self.model.training)

    def hidden(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Read strings int64 [B, T], left padded as `mask` bool [B, T] says; return [B, T, D].

        Tokens behind the end of a string need no mask: nothing before them sees them.
        """
        from aligndec.models.hf import compat as compat

        self._check_head()
        ids, mask = ids.to(self.device), mask.to(self.device)
        kwargs: dict[str, Any] = {}
        if not bool(mask.all()):
            kwargs["attention_mask"] = mask.long()
            position = (mask.long().cumsum(1) - 1).clamp_(min=0)
            kwargs["position_ids"] = position + compat.first_position(self.model)
        base = self.model.base_model
        accepts = inspect.signature(base.forward).parameters
        kwargs = {name: value for name, value in kwargs.items() if name in accepts}
        out = base(input_ids=ids, use_cache=False, return_dict=True, **kwargs)
        states: Tensor = out.last_hidden_state
        return states.to(self.weight.dtype)

    @torch.no_grad()
    def _check_head(self) -> None:
        """Refuse a model that does more to its logits than the head does (a cap, a factor)."""
        seen: list[Any] = []
        hook = self.model.base_model.register_forward_hook(lambda _, __, out: seen.append(out))
        try:
            few = torch.arange(min(8, self.vocab_size), device=self.device)[None]
            logits = self.model(input_ids=few, use_cache=False, return_dict=True).logits
        finally:
            hook.remove()
        state = getattr(seen[-1], "last_hidden_state", None) if seen else None
        if state is not None and state.shape[-1] == self.weight.shape[1]:
            plain = torch.nn.functional.linear(state.to(self.weight.dtype), self.weight, self.bias)
            # The same product of the same numbers, so nothing but its last bits may differ.
            last = 16 * torch.finfo(plain.dtype).eps
            scale = float(plain.abs().amax())
            if torch.allclose(plain.to(logits.dtype), logits, rtol=last, atol=last * scale):
                return
        raise TypeError(
            "HiddenLM: model must give logits that are its head's, hidden @ weight.T + bias, got "
            f"{type(self.model).__name__}, which changes them (a cap or a factor); score its "
            "logits with aligndec.score"
        )


def hidden_lm(model: Any) -> HiddenLM | None:
    """Return a transformers model, or one inside `HFCausalLM`, in two parts; None for others."""
    if isinstance(model, HFCausalLM):
        return HiddenLM(model.model)
    # A transformers model can only exist once transformers was imported: no import here.
    transformers = sys.modules.get("transformers")
    if transformers is not None and isinstance(model, transformers.PreTrainedModel):
        return HiddenLM(model)
    return None
