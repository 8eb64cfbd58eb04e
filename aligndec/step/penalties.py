"""Penalties of what a string has said already, as a sparse bias on the next token's logits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aligndec.shared import offsets_of, real, row_of_entry, whole
from aligndec.step.bias import LogitBias, given_bias
from aligndec.step.histories import Histories, dry_matches, histories, repeated_ngrams

__all__ = ["Penalties", "penalties"]

_LARGEST = float(torch.finfo(torch.float32).max)


@dataclass(frozen=True)
class Penalties:
    """What to penalise; the default penalises nothing.

    They apply in this order, each to what the one before left.

    Parameters
    ----------
    logit_bias : dict from int to float, or LogitBias, optional
        Added to these tokens' logits; -inf takes a token out.
    repetition : float
        > 0. Tokens of the history: a positive logit is divided by it, a negative one multiplied.
        1 is off. Keskar et al. 2019.
    frequency, presence : float
        Subtracted once for each occurrence, and once for any, not counting the first
        `ignore_prompt` tokens of the history. 0 is off.
    no_repeat_ngram : int
        No n-gram of the history comes again: a token that would complete one is taken out. 0 is
        off. Paulus et al. 2017.
    dry : (multiplier, base, allowed_length, breakers), optional
        Where the history ends in m tokens that stand in it before, the token that followed there
        loses multiplier · base^(m − allowed_length), for m >= allowed_length; the longest m counts.
        Matches end at the token ids `breakers`, which are never penalised. "Don't repeat yourself"
        (p-e-w 2024), with breakers of one token each.
    ignore_prompt : int or Tensor
        Tokens at the start of a history that presence and frequency do not count; int64 [B] for
        each its own.
    """

    repetition: float = 1.0
    presence: float = 0.0
    frequency: float = 0.0
    no_repeat_ngram: int = 0
    dry: tuple[float, float, int, Sequence[int]] | None = None
    logit_bias: Mapping[int, float] | LogitBias | None = None
    ignore_prompt: int | Tensor = 0

    def __post_init__(self) -> None:
        for name in ("repetition", "presence", "frequency"):
            value = real("Penalties", name, getattr(self, name))
            low = 0.0 if name == "repetition" else -math.inf
            if not low < value < math.inf:
                what = "> 0 and finite" if name == "repetition" else "finite"
                raise ValueError(f"Penalties: {name} must be {what}, got {value}")
        if whole("Penalties", "no_repeat_ngram", self.no_repeat_ngram) < 0:
            raise ValueError(f"Penalties: no_repeat_ngram must be >= 0, got {self.no_repeat_ngram}")
        if not isinstance(self.ignore_prompt, Tensor):
            if whole("Penalties", "ignore_prompt", self.ignore_prompt, "an int or int64 [B]") < 0:
                raise ValueError(f"Penalties: ignore_prompt must be >= 0, got {self.ignore_prompt}")
        if self.dry is not None:
            self._check_dry(self.dry)

    @staticmethod
    def _check_dry(dry: Any) -> None:
        if not isinstance(dry, Sequence) or len(dry) != 4:
            raise ValueError(
                "Penalties: dry must be (multiplier, base, allowed_length, breakers), got "
                f"{dry!r:.80}"
            )
        multiplier, base = (real("Penalties", "dry", v) for v in dry[:2])
        length = whole("Penalties", "dry", dry[2], "of an int allowed_length")
        for token in dry[3]:
            whole("Penalties", "dry", token, "of int breakers")
        if not (0.0 <= multiplier < math.inf and 1.0 <= base < math.inf and length >= 0):
            raise ValueError(
                "Penalties: dry must be of a multiplier >= 0, a base >= 1 and an allowed_length "
                f">= 0, got {dry[:3]}"
            )


def penalties(
    logits: Tensor,
    history: Tensor | Sequence[Sequence[int]],
    *,
    repetition: float = 1.0,
    presence: float = 0.0,
    frequency: float = 0.0,
    no_repeat_ngram: int = 0,
    dry: tuple[float, float, int, Sequence[int]] | None = None,
    logit_bias: Mapping[int, float] | LogitBias | None = None,
    ignore_prompt: int | Tensor = 0,
) -> LogitBias:
    """Return the bias that the penalties of B histories come to, for `bias=` of the step.

    Parameters
    ----------
    logits : Tensor
        [B, V] of the next token: repetition multiplies, so what it adds depends on them.
    history : Tensor or list of lists of int
        int64 [B, T], -1 where there is no token; prompt included.
    repetition, presence, frequency, no_repeat_ngram, dry, logit_bias, ignore_prompt
        See `Penalties`.

    Returns
    -------
    LogitBias
        logits + bias is what transformers' processors make of the logits, to the last bit of the
        larger of both summands. Tokens of logit -inf have no entry.
    """
    what = Penalties(
        *(repetition, presence, frequency, no_repeat_ngram, dry, logit_bias, ignore_prompt)
    )
    if not isinstance(logits, Tensor) or logits.dim() != 2 or not logits.is_floating_point():
        got = f"{logits.dtype} {list(logits.shape)}" if isinstance(logits, Tensor) else logits
        raise ValueError(f"penalties: logits must be a float [B, V], got {got!r}")
    return bias_of(
        what, logits.detach(), histories(history, len(logits), logits.shape[1], logits.device)
    )


def bias_of(what: Penalties, logits: Tensor, said: Histories) -> LogitBias:
    """Return the bias of checked penalties, logits and histories."""
    batch, vocab = logits.shape
    zero = torch.zeros(0, dtype=torch.int64, device=logits.device)
    repeated, counted, banned, matched = zero, zero, zero, zero
    if what.repetition != 1.0:
        repeated = said.keys()
    if what.presence != 0.0 or what.frequency != 0.0:
        counted = said.keys(what.ignore_prompt)
    if what.no_repeat_ngram > 0:
        banned = repeated_ngrams(said, what.no_repeat_ngram)
    amounts = zero
    if what.dry is not None and what.dry[0] > 0.0:
        matched, amounts = dry_matches(said, *what.dry)
    added, values = _added(what.logit_bias, batch, vocab, logits.device)
    key = torch.unique(torch.cat([repeated, counted, banned, matched, added]))
    rows, ids = key // vocab, key % vocab
    x = logits[rows, ids].float()
    target = x.index_add(0, torch.searchsorted(key, added), values)
    if what.repetition != 1.0:
        inside = torch.isin(key, repeated, assume_unique=False)
        scaled = torch.where(target < 0, target * what.repetition, target / what.repetition)
        target = torch.where(inside, scaled, target)
    if len(counted):
        at = torch.searchsorted(key, counted)
        times = torch.zeros_like(x).index_add(0, at, torch.ones_like(at, dtype=x.dtype))
        target = (target - what.frequency * times) - what.presence * (times > 0)
    if len(matched):
        at, most = torch.searchsorted(key, matched), torch.zeros_like(x)
        target = target - most.scatter_reduce(0, at, amounts.to(x), "amax")
    target = torch.where(torch.isin(key, banned), -torch.inf, target)
    bias = (target.double() - x.double()).clamp(max=_LARGEST).float()
    kept = x.isfinite() & (bias != 0)
    rows, ids, bias = rows[kept], ids[kept], bias[kept]
    return LogitBias(ids.int(), offsets_of(torch.bincount(rows, minlength=batch)), bias)


def _added(given: Any, batch: int, vocab: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Keys row · V + id and values of `logit_bias`."""
    if given is None:
        return torch.zeros(0, dtype=torch.int64, device=device), torch.zeros(0, device=device)
    if isinstance(given, LogitBias):
        ids, offsets, values = given_bias("penalties", given, batch, vocab, device)
        rows = row_of_entry(offsets)
        return rows * vocab + ids[: len(rows)], values[: len(rows)]
    if not isinstance(given, Mapping):
        raise TypeError(f"penalties: logit_bias must be a dict or a LogitBias, got {given!r:.80}")
    listed = [whole("penalties", "logit_bias", i, "a dict from int to float") for i in given]
    wrong = [i for i in listed if not 0 <= i < vocab]
    if wrong:
        raise ValueError(
            f"penalties: logit_bias must be of ids in [0, V) = [0, {vocab}), got {wrong[0]}"
        )
    numbers = [real("penalties", "logit_bias", v) for v in given.values()]
    if any(not v < math.inf for v in numbers):
        raise ValueError(f"penalties: logit_bias must be finite or -inf, got {max(numbers)}")
    ids = torch.tensor(listed, dtype=torch.int64, device=device)
    keys = torch.arange(batch, device=device)[:, None] * vocab + ids
    return keys.reshape(-1), torch.tensor(numbers, device=device).repeat(batch)
