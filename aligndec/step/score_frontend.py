"""Scoring of given tokens over a table of ops: checks, leading dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from aligndec.ops import Ops
from aligndec.reference import with_coin
from aligndec.shared import vector
from aligndec.step import checks as check
from aligndec.step.adaptors import Adaptor
from aligndec.step.bias import LogitBias
from aligndec.step.given import Given, given_args, refuse_slope, rows_of_given
from aligndec.step.layout import broadcast, joined, pieces
from aligndec.step.params import adaptor_params, grid_params
from aligndec.step.sets import KeptSets
from aligndec.step.state import SequenceState
from aligndec.step.types import AnyAdaptor, Step, is_strict, raise_if_bad
from aligndec.step.xtc import given_coin, has_xtc, marginal, probabilities

__all__ = ["ScoreFrontend"]


class ScoreFrontend:
    """`score`, `score_grid` and `kept_mask` over the ops that `table()` returns."""

    def __init__(self, table: Callable[[], Ops]) -> None:
        self._table = table

    def score(
        self,
        logits: Tensor,
        tokens: Tensor,
        adaptor: AnyAdaptor = Adaptor(),
        *,
        state: SequenceState | None = None,
        allowed: Tensor | None = None,
        valid_vocab: int | None = None,
        strict: bool | None = None,
        xtc_coin: Tensor | Literal["marginal"] | None = None,
        bias: LogitBias | None = None,
        kept: KeptSets | Tensor | None = None,
    ) -> Step:
        """Return the books of given tokens: what `sample` would have reported for them.

        Without a state, `log_p`, `log_q` and `log_z` have gradients with respect to the logits
        (the kept set held fixed); `log_kept` too where the sets are given.

        Parameters
        ----------
        logits : Tensor
            [..., V], as in `sample`.
        tokens : Tensor
            int64 [...], below V; negative ones are skipped (status 4, zeros). Leading dimensions
            broadcast; a row that serves several tokens is read in place, never repeated.
        adaptor : Adaptor, sequence of Adaptors, or PackedAdaptors
            One, one per result, or one per index of the first dimension.
        state : SequenceState, optional
            Receives the sums in place; then logits are [B, V], tokens [B], without gradients.
        allowed, valid_vocab, strict
            As in `sample`; `allowed` has leading dimensions that broadcast with the logits'.
        xtc_coin : bool Tensor [...] or "marginal"
            Wanted where an adaptor has xtc: the coins of the tokens (`xtc_coin` gives those of
            `sample`), or the law of a token whose coin is unknown: `log_q` and `kl` of the
            mixture, `n_kept` of the set without the coin, `log_z` and `log_kept` NaN.
        bias : LogitBias, optional
            As in `sample`, one row for each result, in row-major order.
        kept : KeptSets or Tensor, optional
            The sets that the tokens were drawn from (replay), in place of those of the stages: one
            row for each result, or bool [..., V]. The adaptor may have a temperature only. log_p
            and entropy stay those of the full law; log_kept is the mass of the given set.

        Returns
        -------
        Step
            Fields [...]. A token outside the kept set has status 3 and `log_q` = −inf. Of a row
            whose given set is not complete (status 5), or holds no existing token (status 2),
            log_p and entropy are known, the rest NaN.

        Raises
        ------
        BadLogitsError
            As in `sample`.
        """
        ops = self._table()
        vocab = check.logits_of("score", logits, ops.dtypes, state is not None)
        device = logits.device
        check.token_ids("score", tokens, vocab, device)
        shape = _broadcast("score", logits, tokens)
        params = adaptor_params("score", adaptor, shape, device, state)
        if has_xtc(adaptor):
            coin = given_coin("score", xtc_coin, shape, state is not None)
            if coin is None:
                rest: dict[str, Any] = {"allowed": allowed, "valid_vocab": valid_vocab}
                rest |= {"strict": strict, "bias": bias, "kept": kept}
                both = (
                    self.score(logits, tokens, adaptor, **rest, xtc_coin=side)
                    for side in torch.tensor([False, True], device=device)
                )
                return marginal(probabilities(params, shape), *both)
            params = with_coin(params, coin.reshape(-1))
        valid = check.valid_ids("score", valid_vocab, vocab)
        strict = is_strict(strict, logits)
        if allowed is not None:
            allowed = check.allowed_mask("score", allowed, vocab, shape, device)
        given = given_args("score", bias, kept, adaptor, shape, vocab, device)
        refuse_slope("score", logits, params, given)
        if state is not None:
            batch = logits, params, allowed, valid
            out = self._score_into(ops, state, batch, tokens, strict, given)
        elif logits.dim() == 2 and tokens.dim() == 1 and logits.shape[:1] == tokens.shape:
            tokens = tokens.contiguous()
            out = ops.adaptor_score(logits, params, allowed, valid, tokens, None, *given)[:9]
        else:
            flat, start, parts = tokens.expand(shape).reshape(-1).contiguous(), 0, []
            for piece in pieces(logits, allowed, shape, share=True):
                here = slice(start, start := start + piece.size)
                own = params if params.shape[0] == 1 else params[here]
                batch = piece.logits, own, piece.allowed, valid
                of_rows = flat[here], piece.rows, *rows_of_given(given, here)
                parts.append(ops.adaptor_score(*batch, *of_rows)[:9])
            out = [joined(f, 0).reshape(shape) for f in zip(*parts, strict=True)]
        step = Step(*out)
        return raise_if_bad("score", step, given=bool(given)) if strict else step

    def _score_into(
        self,
        ops: Ops,
        state: SequenceState,
        batch: tuple[Tensor, Tensor, Tensor | None, int],
        tokens: Tensor,
        strict: bool,
        given: Given,
    ) -> Any:
        logits, params, allowed, valid = batch
        check.state_of("score", state, logits.shape[0], logits.device)
        tokens = vector("score", "tokens", tokens, logits.shape[0], logits.device)
        if logits.requires_grad and torch.is_grad_enabled():
            raise ValueError(
                "score: logits must not require grad when a state is given, got requires_grad=True "
                "(score without a state, or under torch.no_grad())"
            )
        return ops.adaptor_step(
            *(logits.detach(), params, allowed, valid, tokens, 0, None, None, 0, None, None),
            *(state.sums, state.length, state.finished, state.eos, state.pad_token_id, strict),
            *given,
        )

    def score_grid(
        self,
        logits: Tensor,
        tokens: Tensor,
        adaptors: Sequence[Adaptor],
        *,
        allowed: Tensor | None = None,
        valid_vocab: int | None = None,
        bias: LogitBias | None = None,
    ) -> Step:
        """Return the books of given tokens under each of A adaptors, with one read of the logits.

        Parameters
        ----------
        logits, tokens, allowed, valid_vocab, bias
            As in `score`.
        adaptors : sequence of A Adaptors
            Each is applied to every row.

        Returns
        -------
        Step
            Fields [A, ...], without gradients. Bad rows are marked (status 1, 2), not raised. Of
            xtc the law without the coin.
        """
        ops = self._table()
        vocab = check.logits_of("score_grid", logits, ops.dtypes, False)
        device = logits.device
        check.token_ids("score_grid", tokens, vocab, device)
        shape = _broadcast("score_grid", logits, tokens)
        params = grid_params("score_grid", adaptors, device)
        valid = check.valid_ids("score_grid", valid_vocab, vocab)
        if allowed is not None:
            allowed = check.allowed_mask("score_grid", allowed, vocab, shape, device)
        given = given_args("score_grid", bias, None, adaptors, shape, vocab, device)
        flat, start, parts = tokens.expand(shape).reshape(-1).contiguous(), 0, []
        for piece in pieces(logits.detach(), allowed, shape, share=False):
            here = slice(start, start := start + piece.size)
            batch = piece.logits, params, piece.allowed, valid
            parts.append(ops.adaptor_grid(*batch, flat[here], *rows_of_given(given, here))[:9])
        fields = [joined(f, 1) for f in zip(*parts, strict=True)]
        return Step(
            *(
                f.reshape(-1, *shape) if f.numel() else f.new_empty(len(params), *shape)
                for f in fields
            )
        )

    def kept_mask(
        self,
        logits: Tensor,
        adaptor: AnyAdaptor = Adaptor(),
        *,
        allowed: Tensor | None = None,
        valid_vocab: int | None = None,
        bias: LogitBias | None = None,
    ) -> Tensor:
        """Return the kept set of every row.

        Parameters
        ----------
        logits, adaptor, allowed, valid_vocab, bias
            As in `score`.

        Returns
        -------
        Tensor
            bool [..., V]; all False in bad rows. Of xtc the set without the coin.
        """
        ops = self._table()
        vocab = check.logits_of("kept_mask", logits, ops.dtypes, False)
        shape, device = logits.shape[:-1], logits.device
        params = adaptor_params("kept_mask", adaptor, shape, device)
        valid = check.valid_ids("kept_mask", valid_vocab, vocab)
        if allowed is not None:
            allowed = check.allowed_mask("kept_mask", allowed, vocab, shape, device)
        given = given_args("kept_mask", bias, None, adaptor, shape, vocab, device)
        start, parts = 0, []
        for piece in pieces(logits.detach(), allowed, shape, share=False):
            here = slice(start, start := start + piece.size)
            own = params if params.shape[0] == 1 else params[here]
            batch = piece.logits, own, piece.allowed, valid
            parts.append(ops.adaptor_mask(*batch, *rows_of_given(given, here)))
        return joined(parts, 0).reshape(logits.shape)


def _broadcast(function: str, logits: Tensor, tokens: Tensor) -> tuple[int, ...]:
    lead, given = logits.shape[:-1], tokens.shape
    if lead == given:
        return tuple(lead)
    try:
        return broadcast(lead, given)
    except RuntimeError:
        raise ValueError(
            f"{function}: tokens must be [...] that broadcasts with the leading dimensions of "
            f"logits {list(lead)}, got {list(given)}"
        ) from None
