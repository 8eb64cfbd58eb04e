"""Kept sets as sparse rows over a table of ops: with a draw, or by themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from aligndec.ops import Ops
from aligndec.shared import at_least
from aligndec.step import checks as check
from aligndec.step.adaptors import Adaptor
from aligndec.step.bias import LogitBias
from aligndec.step.draw_args import draw_args
from aligndec.step.given import given_args, rows_of_given
from aligndec.step.layout import pieces
from aligndec.step.params import adaptor_params
from aligndec.step.sets import KeptSets
from aligndec.step.state import SequenceState
from aligndec.step.types import AnyAdaptor, Step, raise_if_bad

__all__ = ["SetsFrontend"]

_MOST = 2**20  # tokens of a row


class SetsFrontend:
    """`sample_with_sets` and `kept_sets` over the ops that `table()` returns."""

    _table: Callable[[], Ops]

    def sample_with_sets(
        self,
        logits: Tensor,
        adaptor: AnyAdaptor = Adaptor(),
        *,
        max_ids: int | None = None,
        seed: int | Tensor = 0,
        sequence_ids: Tensor | None = None,
        positions: int | Tensor | None = None,
        uniforms: Tensor | None = None,
        state: SequenceState | None = None,
        allowed: Tensor | None = None,
        valid_vocab: int | None = None,
        strict: bool | None = None,
        bias: LogitBias | None = None,
    ) -> tuple[Step, KeptSets]:
        """Draw one token per row as `sample` does, and return the kept sets it was drawn from.

        Parameters
        ----------
        logits, adaptor
            As in `sample`.
        max_ids : int, optional
            A set of more tokens is not stored (`complete` False). >= 1; default: all are.
        seed, sequence_ids, positions, uniforms, state, allowed, valid_vocab, strict, bias
            As in `sample`.

        Returns
        -------
        Step
            Fields [B], the same as those of `sample`.
        KeptSets
            One row for each row of logits; finished and bad rows have an empty set.

        Raises
        ------
        BadLogitsError
            As in `sample`.
        """
        ops = self._table()
        batch, draw = draw_args(
            *("sample_with_sets", ops, logits, adaptor, seed, sequence_ids, positions, uniforms),
            *(state, allowed, valid_vocab, strict),
        )
        _refuse_cuda("sample_with_sets", logits)
        most = _most("sample_with_sets", max_ids)
        rows, vocab = batch[0].shape
        given = given_args("sample_with_sets", bias, None, adaptor, (rows,), vocab, logits.device)
        out = ops.adaptor_step_sets(*batch, *draw, most, *given)
        step = Step(*out[:9])
        return (raise_if_bad("sample_with_sets", step) if draw[-1] else step), KeptSets(*out[9:])

    def kept_sets(
        self,
        logits: Tensor,
        adaptor: AnyAdaptor = Adaptor(),
        *,
        state: SequenceState | None = None,
        allowed: Tensor | None = None,
        valid_vocab: int | None = None,
        max_ids: int | None = None,
        bias: LogitBias | None = None,
    ) -> KeptSets:
        """Return the kept set of every row as sparse rows.

        Parameters
        ----------
        logits : Tensor
            [..., V], as in `score`; with a state [B, V].
        adaptor, allowed, valid_vocab, bias
            As in `score`.
        state : SequenceState, optional
            Where the strings stand, for adaptors whose set depends on it (mirostat); not changed.
        max_ids : int, optional
            As in `sample_with_sets`.

        Returns
        -------
        KeptSets
            One row for each row of logits, in row-major order; bad rows have an empty set.
        """
        ops = self._table()
        vocab = check.logits_of("kept_sets", logits, ops.dtypes, state is not None)
        _refuse_cuda("kept_sets", logits)
        most = _most("kept_sets", max_ids)
        shape, device = logits.shape[:-1], logits.device
        params = adaptor_params("kept_sets", adaptor, shape, device, state)
        valid = check.valid_ids("kept_sets", valid_vocab, vocab)
        if allowed is not None:
            allowed = check.allowed_mask("kept_sets", allowed, vocab, shape, device)
        sums = None
        if state is not None:
            sums = check.state_of("kept_sets", state, shape[0], device).sums
        given = given_args("kept_sets", bias, None, adaptor, shape, vocab, device)
        start, parts = 0, []
        for piece in pieces(logits.detach(), allowed, shape, share=False):
            here = slice(start, start := start + piece.size)
            own = params if params.shape[0] == 1 else params[here]
            batch = piece.logits, own, piece.allowed, valid, sums
            parts.append(KeptSets(*ops.adaptor_sets(*batch, most, *rows_of_given(given, here))))
        return parts[0] if len(parts) == 1 else KeptSets.cat(parts)


def _most(function: str, max_ids: Any) -> int:
    if max_ids is None:
        return _MOST
    at_least(function, 1, max_ids=max_ids)
    return int(max_ids)


def _refuse_cuda(function: str, logits: Tensor) -> None:
    if logits.device.type == "cuda":
        raise ValueError(
            f"{function}: logits must be on the CPU, where the kernel for sparse kept sets is, got "
            f"{logits.device} (move them there)"
        )
