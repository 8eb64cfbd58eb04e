"""The public functions of the fused step over a table of ops: drawing a token."""

from __future__ import annotations

from torch import Tensor

from aligndec.step.adaptors import Adaptor
from aligndec.step.bias import LogitBias
from aligndec.step.draw_args import draw_args
from aligndec.step.given import given_args
from aligndec.step.score_frontend import ScoreFrontend
from aligndec.step.sets import KeptSets
from aligndec.step.sets_frontend import SetsFrontend
from aligndec.step.state import SequenceState
from aligndec.step.types import AnyAdaptor, Step, raise_if_bad

__all__ = ["Frontend"]


class Frontend(ScoreFrontend, SetsFrontend):
    """All functions of the step over the ops that `table()` returns; `sample` among them."""

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
        bias: LogitBias | None = None,
        kept: KeptSets | Tensor | None = None,
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
        bias : LogitBias, optional
            B sparse rows that are added to the logits before they are scaled and cut; the base law
            (log_p, entropy, the L1 of log_z, the p of kl) stays that of the logits as they came.
        kept : KeptSets or Tensor, optional
            Draw from these sets (B rows, or bool [B, V]) in place of those of the stages; the
            adaptor may then have a temperature only.

        Returns
        -------
        Step
            Fields [B]. The token is the first id in vocabulary order whose cumulative mass over
            the kept set exceeds the uniform.

        Raises
        ------
        BadLogitsError
            Some row holds NaN or +inf, or no token, or its given set is not complete (status 5);
            nothing was committed to `state`.
        """
        ops = self._table()
        batch, draw = draw_args(
            *("sample", ops, logits, adaptor, seed, sequence_ids, positions, uniforms, state),
            *(allowed, valid_vocab, strict),
        )
        rows, vocab = batch[0].shape
        given = given_args("sample", bias, kept, adaptor, (rows,), vocab, logits.device)
        step = Step(*ops.adaptor_step(*batch, None, *draw, *given))
        return raise_if_bad("sample", step) if draw[-1] else step
