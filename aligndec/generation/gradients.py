"""Books of given strings with gradients: nothing of size [N, T, V] is formed or kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from aligndec.models import FunctionLM, HiddenLM, Narrowed
from aligndec.step import SUMS, Adaptor, KeptSets, Step, has_xtc, score, score_hidden

__all__ = ["differentiable_books"]

_BOOKS = (*SUMS, "status")


def differentiable_books(
    function: str,
    lm: Any,
    ids: Tensor,
    mask: Tensor,
    tokens: Tensor,
    adaptors: Adaptor | Sequence[Adaptor],
    kept: KeptSets | None,
) -> tuple[Tensor, ...]:
    """Return log_p, log_q, log_z, log_kept, kl and status, each [N, T], zeros after the end.

    The first three, and log_kept where sets are given, have gradients. Of a `HiddenLM` the head
    runs in chunks of tokens (`score_hidden`). A `FunctionLM` is read again in the backward pass,
    one position at a time. Any other `StepLM` keeps what its own steps keep for the gradient.

    Parameters
    ----------
    function : str
        Named in errors.
    lm : HiddenLM, or StepLM
        Perhaps narrowed.
    ids, mask : int64, bool [N, T_prompt]
        Prompts, left padded.
    tokens : int64 [N, T]
        −1 after the end.
    adaptors : Adaptor, or N of them
    kept : KeptSets of N · T rows, optional
    """
    for adaptor in [adaptors] if isinstance(adaptors, Adaptor) else adaptors:
        if adaptor.stateful or has_xtc(adaptor):
            raise ValueError(
                f"{function}: adaptors must be without mirostat and xtc where gradients are "
                f"wanted, got {adaptor} (replay their sets: kept=, with the temperature alone)"
            )
    inner, valid = lm.lm if isinstance(lm, Narrowed) else lm, lm.vocab_size
    if not isinstance(inner, HiddenLM):
        return _step_by_step(lm, ids, mask, tokens, adaptors, kept)
    tokens = tokens.to(inner.device)
    first, width = ids.shape[1] - 1, tokens.shape[1]
    words = torch.cat([ids.to(inner.device), tokens[:, :-1].clamp(min=0)], 1)
    seen = torch.nn.functional.pad(mask, (0, width - 1), value=True)
    states = inner.hidden(words, seen)[:, first:]
    at = (tokens >= 0).reshape(-1).nonzero()[:, 0]
    step = score_hidden(
        states.reshape(-1, states.shape[-1])[at],
        inner.weight,
        tokens.reshape(-1)[at],
        adaptors
        if isinstance(adaptors, Adaptor)
        else [adaptors[row] for row in (at // width).tolist()],
        bias=inner.bias,
        kept=None if kept is None else kept.select(at.to(kept.offsets.device)).to(inner.device),
        valid_vocab=valid,
        strict=False,
    )
    return tuple(_spread(getattr(step, name), at, tokens.shape) for name in _BOOKS)


def _spread(field: Tensor, at: Tensor, shape: torch.Size) -> Tensor:
    """Put the fields of the scored tokens at their places among zeros."""
    return field.new_zeros(shape.numel()).index_put((at,), field).reshape(shape)


def _step_by_step(
    lm: Any,
    ids: Tensor,
    mask: Tensor,
    tokens: Tensor,
    adaptors: Adaptor | Sequence[Adaptor],
    kept: KeptSets | None,
) -> tuple[Tensor, ...]:
    width = tokens.shape[1]

    def books(logits: Tensor, t: int) -> tuple[Tensor, ...]:
        sets = None
        if kept is not None:
            rows = torch.arange(len(tokens), device=kept.offsets.device) * width + t
            sets = kept.select(rows).to(logits.device)
        column = tokens[:, t].to(logits.device).contiguous()
        step: Step = score(logits, column, adaptors, kept=sets, strict=False)
        return tuple(getattr(step, name) for name in _BOOKS)

    inner = lm.lm if isinstance(lm, Narrowed) else lm
    read = _again if isinstance(inner, FunctionLM) else _onward
    columns = read(lm, ids, mask, tokens.clamp(min=0), books)
    return tuple(torch.stack(field, 1) for field in zip(*columns, strict=True))


Books = Callable[[Tensor, int], tuple[Tensor, ...]]


def _again(lm: Any, ids: Tensor, mask: Tensor, tokens: Tensor, books: Books) -> list[Any]:
    """Read the whole prefix for each token; the backward pass does so again."""

    def column(t: int) -> tuple[Tensor, ...]:
        words = torch.cat([ids, tokens[:, :t].to(ids.device)], 1)
        seen = torch.nn.functional.pad(mask, (0, t), value=True)
        return books(lm.prefill(words, seen)[0], t)

    return [checkpoint(column, t, use_reentrant=False) for t in range(tokens.shape[1])]


def _onward(lm: Any, ids: Tensor, mask: Tensor, tokens: Tensor, books: Books) -> list[Any]:
    """Go on from a state, whose steps autograd keeps."""
    logits, state = lm.prefill(ids, mask)
    columns = [books(logits, 0)]
    for t in range(1, tokens.shape[1]):
        logits, state = lm.step(tokens[:, t - 1], state)
        columns.append(books(logits, t))
    return columns
