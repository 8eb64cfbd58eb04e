"""Books of given tokens from hidden states: the head and the step in chunks of rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aligndec.shared import at_least, offsets_of
from aligndec.step import checks as check
from aligndec.step.adaptors import Adaptor
from aligndec.step.fused import score
from aligndec.step.packed import PackedAdaptors, as_list
from aligndec.step.sets import KeptSets, given_sets
from aligndec.step.types import AnyAdaptor, Step, is_strict, raise_if_bad

__all__ = ["score_hidden"]

CHUNK_BYTES = 1 << 25
"""Logits of a chunk, where the caller names no size: they stay in the cache of a CPU's socket."""


def score_hidden(
    hidden: Tensor,
    weight: Tensor,
    tokens: Tensor,
    adaptor: AnyAdaptor = Adaptor(),
    *,
    bias: Tensor | None = None,
    kept: KeptSets | Tensor | None = None,
    valid_vocab: int | None = None,
    chunk_size: int | None = None,
    strict: bool | None = None,
) -> Step:
    """Return the books of given tokens from hidden states: `score(hidden @ weight.T + bias, …)`.

    The logits exist for `chunk_size` rows at a time, in the forward pass and, computed again, in
    the backward pass: the peak is O(chunk_size · V) beside the gradients themselves, however many
    rows there are. The idea is that of fused linear losses (Hsu et al. 2024, arXiv 2410.10989;
    Wijmans et al. 2024, arXiv 2411.09009), here with the law of an adaptor or of given sets.

    `log_p`, `log_q`, `log_z`, and `log_kept` where sets are given, have gradients with respect to
    `hidden`, `weight` and `bias`, the kept set held fixed: with G = d loss / d logits,
    d hidden = G · weight, d weight = Gᵀ · hidden, d bias = the sum of G over rows. The last two
    are gathered in float32 (float64 in float64).

    Parameters
    ----------
    hidden : [..., D] float32, float16 or bfloat16 (float64 on the reference backend)
        Last hidden states, of the positions that predict the tokens.
    weight : [V, D], the dtype of `hidden`
        The head (`model.get_output_embeddings().weight`).
    tokens : int64 [...]
        Below V; negative ones are skipped (status 4, zeros).
    adaptor : Adaptor, or sequence of Adaptors
        One, or one per result in row-major order. With xtc or a state: refused.
    bias : [V], the dtype of `hidden`, optional
        The head's bias.
    kept : KeptSets or bool Tensor [..., V], optional
        The sets that the tokens were drawn from, as in `score`; one row per result.
    valid_vocab, strict
        As in `score`.
    chunk_size : int, optional
        Rows whose logits exist together; default: 32 MiB of them.

    Returns
    -------
    Step
        Fields [...].

    Raises
    ------
    BadLogitsError
        As `score`, after all rows were read.
    """
    name = "score_hidden"
    _check(name, hidden, weight, bias)
    lead, vocab = hidden.shape[:-1], weight.shape[0]
    check.token_ids(name, tokens, vocab, hidden.device)
    if tokens.shape != lead:
        raise ValueError(
            f"{name}: tokens must be [...] = {list(lead)}, one per hidden state, got "
            f"{list(tokens.shape)}"
        )
    rows = tokens.numel()
    valid = check.valid_ids(name, valid_vocab, vocab)
    if chunk_size is None:
        chunk_size = max(1, CHUNK_BYTES // (vocab * hidden.element_size()))
    at_least(name, 1, chunk_size=chunk_size)
    if kept is not None:
        kept = given_sets(name, kept, lead, rows, vocab, hidden.device)
    job = _Job(tokens.reshape(-1), _adaptors(name, adaptor, rows), kept, valid, chunk_size)
    flat = hidden.reshape(-1, hidden.shape[-1])
    fields = _ScoreHidden.apply(flat, weight, bias, job)  # type: ignore[no-untyped-call]
    step = Step(*(field.reshape(lead) for field in fields))
    return raise_if_bad(name, step, given=kept is not None) if is_strict(strict, hidden) else step


@dataclass(frozen=True)
class _Job:
    """What is scored: everything but the three tensors that have gradients."""

    tokens: Tensor
    adaptors: Adaptor | list[Adaptor]
    kept: KeptSets | None
    valid_vocab: int
    chunk_size: int

    def chunks(self) -> Iterator[slice]:
        """Rows of each chunk."""
        rows = len(self.tokens)
        for start in range(0, rows, self.chunk_size):
            yield slice(start, min(start + self.chunk_size, rows))

    def score(self, logits: Tensor, here: slice) -> Step:
        """Score the logits of some rows."""
        adaptors = self.adaptors if isinstance(self.adaptors, Adaptor) else self.adaptors[here]
        return score(
            logits,
            self.tokens[here],
            adaptors,
            kept=None if self.kept is None else _rows(self.kept, here),
            valid_vocab=self.valid_vocab,
            strict=False,
        )


class _ScoreHidden(torch.autograd.Function):
    """The fields of `Step` of every row; nothing of the size of the logits is kept."""

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, job: _Job
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(hidden, weight, bias)
        ctx.job = job
        steps = [job.score(_logits(hidden[here], weight, bias), here) for here in job.chunks()] or [
            job.score(hidden.new_zeros(0, len(weight)), slice(0, 0))
        ]
        fields = tuple(torch.cat(field) for field in zip(*steps, strict=True))
        # token, entropy, kl, n_kept, status; log_kept where it follows from the logits' own sets.
        silent = (0, 5, 6, 7, 8) if job.kept is not None else (0, 4, 5, 6, 7, 8)
        ctx.mark_non_differentiable(*(fields[i] for i in silent))
        return fields

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        hidden, weight, bias = ctx.saved_tensors
        job: _Job = ctx.job
        of_hidden, of_weight, of_bias, _ = ctx.needs_input_grad
        grad_hidden = torch.empty_like(hidden) if of_hidden else None
        wide = torch.promote_types(weight.dtype, torch.float32)
        grad_weight = torch.zeros_like(weight, dtype=wide) if of_weight else None
        grad_bias = weight.new_zeros(len(weight), dtype=wide) if of_bias else None
        told = (1, 2, 3, 4) if job.kept is not None else (1, 2, 3)
        for here in job.chunks():
            logits = _logits(hidden[here], weight, bias).requires_grad_()
            with torch.enable_grad():
                step = job.score(logits, here)
            (grad,) = torch.autograd.grad(
                [step[i] for i in told], logits, [grads[i][here] for i in told]
            )
            del logits, step
            if grad_hidden is not None:
                torch.mm(grad, weight, out=grad_hidden[here])
            if grad_weight is not None:
                _add_product(grad_weight, grad.T, hidden[here])
            if grad_bias is not None:
                grad_bias += grad.sum(0, dtype=wide)
        return (
            grad_hidden,
            None if grad_weight is None else grad_weight.to(weight.dtype),
            None if grad_bias is None or bias is None else grad_bias.to(bias.dtype),
            None,
        )


def _add_product(out: Tensor, a: Tensor, b: Tensor) -> None:
    """Add a @ b to the wider `out`."""
    if a.dtype == out.dtype:
        out.addmm_(a, b)
    else:
        out += a @ b


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.nn.functional.linear(hidden.detach(), weight.detach(), bias)


def _rows(sets: KeptSets, here: slice) -> KeptSets:
    """Return neighbouring rows of some sets; the ids are shared."""
    lengths = sets.offsets.diff()[here]
    first, last = int(sets.offsets[here.start]), int(sets.offsets[here.stop])
    return KeptSets(sets.ids[first:last], offsets_of(lengths), sets.complete[here])


def _adaptors(name: str, adaptor: Any, rows: int) -> Adaptor | list[Adaptor]:
    if isinstance(adaptor, PackedAdaptors):
        raise TypeError(
            f"{name}: adaptor must be an Adaptor or a sequence of them, got packed ones"
        )
    listed = [adaptor] if isinstance(adaptor, Adaptor) else as_list(name, adaptor)
    for one in listed:
        if one.stateful or one.xtc is not None:
            raise ValueError(
                f"{name}: adaptor must be without mirostat and xtc, got {one} (their tokens are "
                "replayed by kept=, with the temperature alone)"
            )
    if not isinstance(adaptor, Adaptor) and len(listed) != rows:
        raise ValueError(
            f"{name}: adaptor must be one Adaptor or one for each of {rows} results, got "
            f"{len(listed)}"
        )
    return adaptor if isinstance(adaptor, Adaptor) else listed


def _check(name: str, hidden: Any, weight: Any, bias: Any) -> None:
    if not isinstance(hidden, Tensor) or not hidden.is_floating_point() or hidden.dim() < 1:
        raise ValueError(f"{name}: hidden must be floating-point [..., D], got {_shown(hidden)}")
    width = hidden.shape[-1]
    if (
        not isinstance(weight, Tensor)
        or weight.dim() != 2
        or weight.shape[1] != width
        or (weight.dtype, weight.device) != (hidden.dtype, hidden.device)
    ):
        raise ValueError(
            f"{name}: weight must be {hidden.dtype} [V, D] with D = {width} on {hidden.device}, "
            f"got {_shown(weight)}"
        )
    if bias is not None and (
        not isinstance(bias, Tensor)
        or bias.shape != weight.shape[:1]
        or (bias.dtype, bias.device) != (hidden.dtype, hidden.device)
    ):
        raise ValueError(
            f"{name}: bias must be {hidden.dtype} [V] = [{len(weight)}] on {hidden.device}, got "
            f"{_shown(bias)}"
        )


def _shown(value: Any) -> str:
    if isinstance(value, Tensor):
        return f"{value.dtype} {list(value.shape)} on {value.device}"
    return f"{value!r:.80}"
