"""Penalties of what strings have said already, as a sparse bias on the next token's logits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aligndec.shared import offsets_of, token_ids
from aligndec.step.bias import LogitBias
from aligndec.step.entries import Entries, entries
from aligndec.step.histories import Distinct, Repeats, histories, keys_of
from aligndec.step.penalties import Penalties

__all__ = ["RunningPenalties", "penalties"]

_LARGEST = float(torch.finfo(torch.float32).max)


def penalties(
    logits: Tensor,
    history: Tensor | Sequence[Sequence[int]],
    *,
    repetition: float = 1.0,
    presence: float = 0.0,
    frequency: float = 0.0,
    no_repeat_ngram: int = 0,
    dry: tuple[float, float, int, Sequence[int]] | None = None,
    logit_bias: Mapping[int | tuple[int, ...], float] | LogitBias | None = None,
    ignore_prompt: int | Tensor = 0,
    min_new_tokens: int = 0,
    eos_token_id: int | Sequence[int] = (),
    prompt_length: int | Tensor = 0,
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
    min_new_tokens, eos_token_id, prompt_length
        Histories of fewer than `prompt_length` (int or int64 [B]) + `min_new_tokens` tokens may not
        end yet.

    Returns
    -------
    LogitBias
        logits + bias is what transformers' processors make of the logits, to the last bit of the
        larger of both summands. Tokens of logit -inf have no entry.
    """
    what = Penalties(
        *(repetition, presence, frequency, no_repeat_ngram, dry, logit_bias, ignore_prompt),
        min_new_tokens=min_new_tokens,
    )
    if not isinstance(logits, Tensor) or logits.dim() != 2 or not logits.is_floating_point():
        got = f"{logits.dtype} {list(logits.shape)}" if isinstance(logits, Tensor) else logits
        raise ValueError(f"penalties: logits must be a float [B, V], got {got!r}")
    batch, vocab = logits.shape
    tokens = histories(history, batch, vocab, logits.device)
    ends = token_ids("penalties: eos_token_id", eos_token_id, vocab)
    said = (tokens >= 0).sum(1) - prompt_length
    return RunningPenalties.start(what, tokens, vocab, ends, said).bias(logits)


@dataclass
class RunningPenalties:
    """Penalties with the histories of B strings, which go on token by token.

    A token costs a few operations on [B, D] distinct tokens or [B, T] places, whichever of them the
    penalties ask for. `early` int64 [B]: tokens that are missing until a string may end.
    """

    what: Penalties
    vocab: int
    ends: Tensor
    early: Tensor
    distinct: Distinct | None
    repeats: Repeats | None
    entries: Entries | None

    @staticmethod
    def start(
        what: Penalties,
        tokens: Tensor,
        vocab: int,
        ends: Sequence[int] = (),
        said: int | Tensor = 0,
    ) -> RunningPenalties:
        """Return those of histories int64 [B, T], right aligned, -1 where there is no token.

        `ends` are the end tokens, `said` (int or [B]) the number of tokens after the prompt; tokens
        that are appended later always count.
        """
        counts = what.presence != 0.0 or what.frequency != 0.0
        cost, base, least, breakers = what.dry or (0.0, 1.0, 0, ())
        distinct = repeats = None
        if counts or what.repetition != 1.0:
            distinct = Distinct.of(tokens, what.ignore_prompt, vocab)
        if what.no_repeat_ngram > 0 or cost > 0.0:
            # Beyond it a penalty is the largest float: longer agreements need not be told apart.
            growth = math.log(_LARGEST / cost) / math.log(base) if cost and base > 1.0 else 0.0
            longest = max(what.no_repeat_ngram, least + math.ceil(max(growth, 0.0)) + 1)
            repeats = Repeats.of(tokens, breakers, longest)
        listed = None if what.logit_bias is None else entries(what.logit_bias, tokens, vocab)
        early = torch.zeros(len(tokens), dtype=torch.int64, device=tokens.device)
        early += what.min_new_tokens - said
        ids = torch.tensor(list(ends), dtype=torch.int64, device=tokens.device)
        return RunningPenalties(what, vocab, ids, early, distinct, repeats, listed)

    def append(self, token: Tensor) -> None:
        """Add one token to each string, int64 [B]."""
        self.early = self.early - 1
        for part in (self.distinct, self.repeats, self.entries):
            if part is not None:
                part.append(token)

    def select(self, index: Tensor) -> RunningPenalties:
        """Gather strings: repeat, drop or reorder. int64 [B2]."""
        parts = (self.distinct, self.repeats, self.entries)
        some: list[Any] = [None if part is None else part.select(index) for part in parts]
        return RunningPenalties(self.what, self.vocab, self.ends, self.early[index], *some)

    def bias(self, logits: Tensor) -> LogitBias:
        """Return what is added to the logits [B, V] of the next token."""
        vocab = self.vocab
        zero = torch.zeros(0, dtype=torch.int64, device=logits.device)
        said, times = (zero, zero) if self.distinct is None else self.distinct.keys()
        added, values = (zero, zero) if self.entries is None else self.entries.keys(vocab)
        matched, amounts = self._dry()
        banned = torch.cat([self._ngrams(), self._ends()])
        # Those of `said` are ascending and different already.
        others = torch.cat([banned, matched, added])
        key = torch.unique(torch.cat([said, others])) if len(others) else said
        rows, ids = key // vocab, key % vocab
        x = logits.detach()[rows, ids].float()

        def at(keys: Tensor) -> Tensor:
            return torch.searchsorted(key, keys)

        target = x
        if len(added):
            target = x + torch.zeros_like(x).index_add(0, at(added), values)
        if len(said) and not len(others):
            target = self._said(target, times)
        elif len(said):
            place = at(said)
            target = target.index_copy(0, place, self._said(target[place], times))
        if len(matched):
            most = torch.zeros_like(x).scatter_reduce(0, at(matched), amounts.to(x), "amax")
            target = target - most
        if len(banned):
            target = target.index_fill(0, at(banned), -torch.inf)
        bias = (target.double() - x.double()).clamp(max=_LARGEST).float()
        kept = x.isfinite() & (bias != 0)
        rows, ids, bias = rows[kept], ids[kept], bias[kept]
        return LogitBias(ids.int(), offsets_of(torch.bincount(rows, minlength=len(logits))), bias)

    def _said(self, x: Tensor, times: Tensor) -> Tensor:
        """Return the logits of tokens that were said, so many times."""
        what = self.what
        if what.repetition != 1.0:
            x = torch.where(x < 0, x * what.repetition, x / what.repetition)
        if what.frequency != 0.0 or what.presence != 0.0:
            # What is counted apart from the prompt may have no count: 0 subtracts nothing.
            x = (x - what.frequency * times) - what.presence * (times > 0)
        return x

    def _dry(self) -> tuple[Tensor, Tensor]:
        """Keys and costs multiplier · base^(m − allowed_length)."""
        if self.repeats is None or self.what.dry is None or self.what.dry[0] == 0.0:
            return self.ends[:0], self.ends[:0]
        multiplier, base, least, _ = self.what.dry
        keys, match = self.repeats.dry(least, self.vocab)
        power = torch.pow(torch.tensor(base, dtype=torch.float64), (match - least).double().cpu())
        return keys, (multiplier * power).clamp(max=_LARGEST).to(keys.device)

    def _ngrams(self) -> Tensor:
        if self.repeats is None or self.what.no_repeat_ngram == 0:
            return self.ends[:0]
        return self.repeats.ngrams(self.what.no_repeat_ngram, self.vocab)

    def _ends(self) -> Tensor:
        """Keys of the end tokens of strings that may not end yet."""
        if self.what.min_new_tokens == 0:
            return self.ends[:0]
        every = self.ends.expand(len(self.early), -1)
        return keys_of(every, (self.early > 0)[:, None].expand_as(every), self.vocab)
