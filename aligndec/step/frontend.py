"""The public functions of the fused step over a table of ops: checks, defaults, drawing."""

from __future__ import annotations

import torch
from torch import Tensor

from aligndec.shared import draw_uniforms, positions_of, seed_of, vector
from aligndec.step import checks as check
from aligndec.step.adaptors import Adaptor
from aligndec.step.params import adaptor_params
from aligndec.step.score_frontend import ScoreFrontend
from aligndec.step.state import SequenceState
from aligndec.step.types import AnyAdaptor, Step, is_strict, raise_if_bad, warn_same_uniform

__all__ = ["Frontend"]


class Frontend(ScoreFrontend):
    """`sample`, `score`, `score_grid` and `kept_mask` over the ops that `table()` returns."""

    def sample(
        self,
        logits: Tensor,
        adaptor: AnyAdaptor = Adaptor(),
        *,
        seed: int | Tensor = 0,
        sequence_ids: Tensor | None = None,
        positions: int | Tensor | None = None,
        uniforms: Tensor | None = None,
        state: SequenceState | None = None,
        allowed: Tensor | None = None,
        valid_vocab: int | None = None,
        strict: bool | None = None,
    ) -> Step:
        """Draw one token per row from the adapted law, with its exact books.

        Parameters
        ----------
        logits : Tensor
            [B, V], float32, float16 or bfloat16, last stride 1, V <= 2^20. Never modified.
        adaptor : Adaptor, sequence of B Adaptors, or PackedAdaptors
            How the law is adapted; the default changes nothing.
        seed : int or Tensor
            Run seed mod 2^64, or int64 [B].
        sequence_ids : Tensor, optional
            int64 [B]; default the state's, else arange(B).
        positions : int or Tensor, optional
            Step index, int or int64 [B]; default the state's length, else 0.
        uniforms : Tensor, optional
            float64 [B] in [0, 1), replaces the random bits.
        state : SequenceState, optional
            Receives the sums in place; its finished rows emit the pad token (status 4).
        allowed : Tensor, optional
            bool [B, V] or int32 bit mask [B, ceil(V/32)] (bit v%32 of word v//32).
        valid_vocab : int, optional
            Ids from here on do not exist (padded vocabularies).
        strict : bool, optional
            Raise on bad rows. Default True on the CPU, False on CUDA and while compiling.

        Returns
        -------
        Step
            Fields [B]. The token is the first id in vocabulary order whose cumulative mass over
            the kept set exceeds the uniform.

        Raises
        ------
        BadLogitsError
            Some row holds NaN or +inf, or no token; nothing was committed to `state`.
        """
        ops = self._table()
        vocab = check.logits_of("sample", logits, ops.dtypes, True)
        if logits.requires_grad:
            logits = logits.detach()
        batch, device = logits.shape[0], logits.device
        params = adaptor_params("sample", adaptor, (batch,), device, state)
        strict = is_strict(strict, logits)
        seeds = position_ids = sums = length = finished = eos = None
        pad = position = 0
        if type(seed) is not int or not 0 <= seed < 2**63:
            seed, seeds = seed_of("sample", seed, batch, device)
        if positions is not None:
            position, position_ids = positions_of("sample", positions, batch, device)
        if state is not None:
            check.state_of("sample", state, batch, device)
            sums, length, finished = state.sums, state.length, state.finished
            eos, pad = state.eos, state.pad_token_id
            if positions is not None and position_ids is None:
                position_ids = torch.full_like(length, position)
        elif positions is None and uniforms is None:
            warn_same_uniform()
        if sequence_ids is None:
            sequence_ids = None if state is None else state.sequence_ids
        else:
            sequence_ids = vector("sample", "sequence_ids", sequence_ids, batch, device)
        if uniforms is not None:
            uniforms = draw_uniforms("sample", uniforms, batch, device)
        if allowed is not None:
            allowed = check.allowed_mask("sample", allowed, vocab, (batch,), device)
        valid = check.valid_ids("sample", valid_vocab, vocab)
        out = ops.adaptor_step(
            *(logits, params, allowed, valid, None, seed, seeds, sequence_ids, position),
            *(position_ids, uniforms, sums, length, finished, eos, pad, strict),
        )
        return raise_if_bad("sample", Step(*out)) if strict else Step(*out)
