"""The importance ratio of drawn tokens or strings, and what it says of the two policies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aligndec.generation import Generation, StringScores
from aligndec.shared import result
from aligndec.step import Step

__all__ = ["ImportanceRatio", "clip_range", "importance_ratio"]

Books = Step | Generation | StringScores


class _Ratio(NamedTuple):
    ratio: Tensor
    clipped_fraction: Tensor
    ess: Tensor
    kept_mass_old: Tensor
    kept_mass_new: Tensor
    outside_fraction: Tensor


@result
class ImportanceRatio(_Ratio):
    """Ratios ρ = q_new / q_old with their statistics; see `importance_ratio`.

    The statistics are float64 scalars without gradients, over the items (tokens, or strings) that
    count: not those after the end of a string, nor those whose books are NaN (their set is not
    known). Where nothing counts they are NaN.

    Attributes
    ----------
    ratio : float64 [...]
        ρ, clipped where a clip was given; has the gradient of the new books. 1 after the end.
    clipped_fraction
        Share of items whose ρ lies outside of the clip's range; 0 without one.
    ess
        Effective sample size (Σρ)² / Σρ² of `ratio`, a count of items.
    kept_mass_old, kept_mass_new
        Mean mass exp(log_kept) of the kept sets under each policy.
    outside_fraction
        Share of items outside of the new policy's support (ρ = 0).
    mean : beside the tuple
        Mean of ρ before clipping: 1 in expectation where the old books are those of the law that
        drew and the new law lives on the same sets.
    """

    mean: Tensor | None = None


@dataclass(frozen=True)
class _Items:
    """log_q and log_kept of items [...], and which of them count."""

    log_q: Tensor
    log_kept: Tensor
    counted: Tensor


def importance_ratio(
    new: Books, old: Books, *, clip: float | tuple[float, float] | None = None
) -> ImportanceRatio:
    """Return ρ = exp(log_q_new − log_q_old) of the same tokens under two policies.

    Both must be the books of the law that the tokens were drawn from: old as drawn, new replayed
    on the same kept sets (`score(kept=…)`, `score_strings(kept=generation.kept)`). Then
    E[ρ] = 1 (importance sampling); scored over the full vocabulary instead, ρ is too small by the
    kept mass S of every token: E[ρ] = E[S].

    Parameters
    ----------
    new, old : Step, Generation or StringScores
        Of a `Step` each entry is a token. Of the others tokens where both have books per token
        (`per_token=True`), else whole strings. `StringScores` of one adaptor are taken as [N, …].
    clip : float or (low, high), optional
        ρ is clipped to [1 − clip, 1 + clip], or to [low, high] ((0, c): truncated importance
        sampling, Ionides 2008).

    Returns
    -------
    ImportanceRatio
        `ratio` float64 [B], [N] or [N, T].
    """
    name = "importance_ratio"
    bounds = None if clip is None else clip_range(name, clip)
    for which, books in (("new", new), ("old", old)):
        if not isinstance(books, (Step, Generation, StringScores)):
            raise TypeError(
                f"{name}: {which} must be a Step, Generation or StringScores, got "
                f"{type(books).__name__}"
            )
    per_token = all(isinstance(b, Step) or b.token_log_q is not None for b in (new, old))
    top, bottom = (_items(books, per_token) for books in (new, old))
    try:
        counted = top.counted & bottom.counted.to(top.counted.device)
    except RuntimeError:
        raise ValueError(
            f"{name}: new and old must be books of the same tokens (per_token of both or of none), "
            f"got [{_dims(top.log_q)}] and [{_dims(bottom.log_q)}]"
        ) from None
    device = top.log_q.device
    log_old = bottom.log_q.detach().to(device)
    difference = torch.where(counted, top.log_q - log_old, 0.0)
    # −inf stands in for 0 without the NaN gradient of exp(−inf) · inf.
    outside = (top.log_q == -torch.inf) & counted
    rho = torch.where(outside, 0.0, torch.where(outside, 0.0, difference).exp())
    known = counted & ~rho.isnan()
    clipped = rho if bounds is None else rho.clamp(*bounds)
    out = ImportanceRatio(
        clipped,
        _mean((rho < bounds[0]) | (rho > bounds[1]) if bounds else outside & False, known),
        _ess(clipped, known),
        _mean(bottom.log_kept.to(device).exp(), known),
        _mean(top.log_kept.exp(), known),
        _mean(outside, known),
    )
    out.mean = _mean(rho, known)
    return out


def clip_range(function: str, clip: Any, name: str = "clip") -> tuple[float, float]:
    """Return the range [low, high] that a clip stands for."""
    pair = isinstance(clip, tuple) and len(clip) == 2
    values = clip if pair else (clip,)
    if all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in values):
        low, high = clip if pair else (1.0 - clip, 1.0 + clip)
        if (pair or clip >= 0) and low <= high and high > 0:
            return max(0.0, float(low)), float(high)
    raise ValueError(
        f"{function}: {name} must be a number >= 0 or (low, high) with low <= high, got {clip!r}"
    )


def _items(books: Books, per_token: bool) -> _Items:
    if isinstance(books, Step):
        return _Items(books.log_q, books.log_kept, books.status != 4)
    log_q, log_kept, counted = books.log_q, books.log_kept, books.length >= 0
    q_of_tokens, kept_of_tokens = books.token_log_q, books.token_log_kept
    if per_token and q_of_tokens is not None and kept_of_tokens is not None:
        log_q, log_kept, length = q_of_tokens, kept_of_tokens, books.length[..., None]
        counted = torch.arange(log_q.shape[-1], device=length.device) < length
    return _Items(*(_one(field, books) for field in (log_q, log_kept, counted)))


def _one(field: Tensor, books: Books) -> Tensor:
    """Drop the axis of adaptors where there is one of them."""
    return field[0] if isinstance(books, StringScores) and len(field) == 1 else field


def _mean(value: Tensor, known: Tensor) -> Tensor:
    return value.detach().expand(known.shape)[known].double().mean()


def _ess(ratio: Tensor, known: Tensor) -> Tensor:
    weights = ratio.detach()[known]
    return weights.sum() ** 2 / (weights**2).sum()


def _dims(x: Tensor) -> str:
    return ", ".join(map(str, x.shape))
