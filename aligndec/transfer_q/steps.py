"""The steps of Transfer Q* as public functions: candidates, their value, the rescored choice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from aligndec.ops import Ops
from aligndec.reference import MODES
from aligndec.shared import (
    draw_uniforms,
    on_device,
    plain_arguments,
    positions_of,
    seed_of,
    vector,
    whole,
)
from aligndec.step import Adaptor, BadLogitsError, Step, row_of
from aligndec.step import checks as check

__all__ = ["Candidates", "Choice", "Steps", "Value"]


class Candidates(NamedTuple):
    """`token` int64 [B, k], most probable first, ties by id; `log_p` float64 [B, k], base law."""

    token: Tensor
    log_p: Tensor


class Value(NamedTuple):
    """Estimates from N rollouts, float64 [...].

    `value`; `ess`, the effective number of rollouts behind it; `log_c` = ln(Σ e^ℓ / N), 0 without
    weights.
    """

    value: Tensor
    ess: Tensor
    log_c: Tensor


class Choice(NamedTuple):
    """A choice among candidates, fields [B].

    `index` int64; `log_ref` and `log_alg`: its float64 log-probability under the reference
    renormalised on the candidates and under the law it was drawn from; `kl` of that law from the
    renormalised reference.
    """

    index: Tensor  # type: ignore[assignment]  # the name hides tuple.index
    log_ref: Tensor
    log_alg: Tensor
    kl: Tensor


class Steps:
    """`candidates`, `value` and `rescore` over the ops that `table()` returns."""

    def __init__(self, table: Callable[[], Ops]) -> None:
        self._table = table

    @plain_arguments
    def candidates(self, logits: Tensor, k: int, *, valid_vocab: int | None = None) -> Candidates:
        """Find the k most probable tokens of each row in one pass.

        Parameters
        ----------
        logits : Tensor
            [B, V], float32, float16 or bfloat16, last stride 1, V <= 2^20.
        k : int
            1 <= k <= V. Where fewer tokens have a finite logit, the others follow with −inf.
        valid_vocab : int, optional
            Ids from here on do not exist.

        Returns
        -------
        Candidates
            `log_p` is that of the whole base law, as `score` gives it: not renormalised.

        Raises
        ------
        ValueError
            k out of range.
        BadLogitsError
            A row with NaN or +inf, or without any token (on the CPU; on CUDA its tokens are −1).
        """
        name = "transfer_q.candidates"
        ops = self._table()
        vocab = check.logits_of(name, logits, ops.dtypes, True)
        valid = check.valid_ids(name, valid_vocab, vocab)
        if not 1 <= whole(name, "k", k) <= valid:
            raise ValueError(f"{name}: k must be in [1, V] = [1, {valid}], got {k}")
        token, log_p, status = ops.candidates(logits.detach(), k, valid)
        if token.is_cpu and bool((status != 0).any()):
            rows = status.nonzero()[:, 0].tolist()
            first = token[:, 0].clamp(min=0)
            step = ops.adaptor_score(logits.detach(), row_of(Adaptor()), None, valid, first, None)
            raise BadLogitsError(rows, Step(*step[:9]), name)
        return Candidates(token, log_p)

    def value(
        self,
        rewards: Tensor,
        log_ratio: Tensor | None = None,
        *,
        mode: Literal["mean", "snis", "log_mean_exp"] = "mean",
    ) -> Value:
        """Estimate the value of a candidate from N rollouts.

        Parameters
        ----------
        rewards : Tensor
            [..., N] rewards r_i of the rollouts, finite.
        log_ratio : Tensor, optional
            [..., N] ln-weights ℓ_i, finite or −inf (for "snis" not all −inf); needed but for
            "mean".
        mode : {"mean", "snis", "log_mean_exp"}
            Σ r/N; self-normalised importance sampling Σ e^ℓ r / Σ e^ℓ; ln Ĉ = ln(Σ e^ℓ / N).

        Returns
        -------
        Value
            Fields [...], safe for any finite ℓ. "mean" uses all N rollouts alike: `ess` is N.

        References
        ----------
        Chakraborty et al. 2024, "Transfer Q*", direct and indirect transfer.
        """
        name = "transfer_q.value"
        if mode not in MODES:
            raise ValueError(f"{name}: mode must be one of {', '.join(MODES)}, got {mode!r}")
        r = _finite(name, "rewards", rewards, "[..., N >= 1]", infinite=False)
        if r.dim() == 0 or r.shape[-1] == 0:
            raise ValueError(f"{name}: rewards must be [..., N >= 1], got {list(r.shape)}")
        ratio = None
        if log_ratio is not None:
            ratio = _finite(name, "log_ratio", log_ratio, "[..., N]", infinite=True)
            r, ratio = _together(name, r, "log_ratio", ratio)
            empty = (ratio == -torch.inf).all(-1)
            if mode == "snis" and not torch.compiler.is_compiling() and bool(empty.any()):
                at = empty.nonzero()[0].tolist()
                raise ValueError(f"{name}: log_ratio must not be -inf throughout, got so at {at}")
            ratio = ratio.reshape(-1, ratio.shape[-1]).contiguous()
        elif mode != "mean":
            raise ValueError(f"{name}: log_ratio must be given for mode {mode!r}, got None")
        shape = r.shape[:-1]
        flat = r.reshape(-1, r.shape[-1]).contiguous()
        out = self._table().segment_value(flat, ratio, MODES.index(mode))
        return Value(*(field.reshape(shape) for field in out))

    @plain_arguments
    def rescore(
        self,
        log_p: Tensor,
        value: Tensor,
        *,
        alpha: float | Tensor,
        greedy: bool = False,
        seed: int = 0,
        sequence_ids: Tensor | None = None,
        positions: int | Tensor = 0,
        uniforms: Tensor | None = None,
    ) -> Choice:
        """Choose among candidates by the law ∝ p · exp(value / α), renormalised over them.

        Parameters
        ----------
        log_p, value : Tensor
            [B, k], finite or −inf (a candidate that cannot be chosen).
        alpha : float or Tensor
            In the units of `value`, > 0, or float64 [B]; +inf gives the reference, small values
            the best candidate.
        greedy : bool
            Take the most probable candidate, lowest index on a tie: the law is the point mass
            there, so log_alg = 0 and kl = −log_ref.
        seed, sequence_ids, positions
            Where the random bits come from (stream 3); ids default to arange(B).
        uniforms : Tensor, optional
            float64 [B] in [0, 1), replaces the random bits: the first index whose cumulative mass
            exceeds it.

        Returns
        -------
        Choice
        """
        name = "transfer_q.rescore"
        p = _finite(name, "log_p", log_p, "[B, k]", infinite=True)
        v = _finite(name, "value", value, "[B, k]", infinite=True)
        if p.dim() != 2 or p.shape[1] == 0 or p.shape != v.shape:
            raise ValueError(
                f"{name}: log_p and value must be [B, k >= 1], got {list(p.shape)} and "
                f"{list(v.shape)}"
            )
        batch, device = p.shape[0], p.device
        on_device(name, "value", v, device)
        scale = torch.as_tensor(alpha, dtype=torch.float64, device=device).reshape(-1)
        if len(scale) not in (1, batch) or not bool((scale > 0).all()):
            raise ValueError(
                f"{name}: alpha must be > 0, one number or [B] = [{batch}], got {alpha}"
            )
        dead = ((p == -torch.inf) | (v == -torch.inf)).all(1)
        if bool(dead.any()):
            raise ValueError(
                f"{name}: log_p and value must both be finite for at least one candidate, got none "
                f"in rows {dead.nonzero()[:8, 0].tolist()}"
            )
        key, _ = seed_of(name, whole(name, "seed", seed), batch, device)
        position, position_ids = positions_of(name, positions, batch, device)
        if sequence_ids is not None:
            sequence_ids = vector(name, "sequence_ids", sequence_ids, batch, device)
        if uniforms is not None:
            uniforms = draw_uniforms(name, uniforms, batch, device)
        drawn = (key, sequence_ids, position, position_ids, uniforms)
        return Choice(
            *self._table().rescore(p.contiguous(), v.contiguous(), scale, bool(greedy), *drawn)
        )


def _finite(function: str, name: str, value: Any, shape: str, *, infinite: bool) -> Tensor:
    """Check a floating-point tensor without NaN and +inf (and −inf, unless `infinite`)."""
    if not isinstance(value, Tensor) or not value.is_floating_point():
        got = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise TypeError(f"{function}: {name} must be a floating-point Tensor {shape}, got {got}")
    out = value.detach().double()
    good = (out < torch.inf) if infinite else out.isfinite()
    if not torch.compiler.is_compiling() and not bool(good.all()):
        at = (~good).nonzero()[0].tolist()
        what = "finite or -inf" if infinite else "finite"
        raise ValueError(f"{function}: {name} must be {what}, got {out[tuple(at)].item()} at {at}")
    return out


def _together(function: str, rewards: Tensor, name: str, other: Tensor) -> tuple[Tensor, Tensor]:
    on_device(function, name, other, rewards.device)
    try:
        both = torch.broadcast_tensors(rewards, other)  # type: ignore[no-untyped-call]
    except RuntimeError:
        both = ()
    if not both or both[0].shape[-1] != rewards.shape[-1]:
        raise ValueError(
            f"{function}: {name} must be [..., N] like rewards {list(rewards.shape)}, got "
            f"{list(other.shape)}"
        )
    return both[0], both[1]
