"""Strings that go on from prefixes of their own: read again in one pass, then drawn on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aligndec.generation import COMPACT_AT, Prepared, trim
from aligndec.step import SUMS, PackedAdaptors, SequenceState, sample

__all__ = ["Continuations", "Strings"]


@dataclass
class Strings:
    """C strings with what each token brought.

    Attributes
    ----------
    tokens : int64 [C, T]
        Pad tokens after the end.
    books : float64 [5, C, T]
        log_p, log_q, log_z, log_kept, kl of each token, zeros after the end.
    mu : float64 [C, T + 1]
        Mirostat's threshold before each token; NaN without.
    length, status : int64 [C]
    finished : bool [C]
        An end token was drawn.
    """

    tokens: Tensor
    books: Tensor
    mu: Tensor
    length: Tensor
    status: Tensor
    finished: Tensor

    @property
    def sums(self) -> Tensor:
        """Sums of the books in the order of the tokens, float64 [C, 5]."""
        return self.books.cumsum(-1)[..., -1].t()

    @staticmethod
    def empty(rows: int, width: int, pad: int, device: torch.device) -> Strings:
        """Return strings without a token."""
        length = torch.zeros(rows, dtype=torch.int64, device=device)
        books = torch.zeros(len(SUMS), rows, width, dtype=torch.float64, device=device)
        mu = torch.full((rows, width + 1), torch.nan, dtype=torch.float64, device=device)
        tokens = torch.full((rows, width), pad, dtype=torch.int64, device=device)
        return Strings(tokens, books, mu, length, torch.zeros_like(length), length.bool())

    def cut(self, at: Tensor, pad: int) -> Strings:
        """Return the first `at` int64 [C] tokens of each, with room for more."""
        gone = torch.arange(self.tokens.shape[1], device=at.device) >= at[:, None]
        return Strings(
            self.tokens.masked_fill(gone, pad),
            self.books.masked_fill(gone, 0.0),
            self.mu.clone(),
            at.clone(),
            torch.zeros_like(at),
            torch.zeros_like(self.finished),
        )

    def where(self, taken: Tensor, other: Strings) -> Strings:
        """Return these strings, but where `taken` bool [C] those of `other`."""
        many = taken[:, None]
        return Strings(
            torch.where(many, other.tokens, self.tokens),
            torch.where(many, other.books, self.books),
            torch.where(many, other.mu, self.mu),
            torch.where(taken, other.length, self.length),
            torch.where(taken, other.status, self.status),
            torch.where(taken, other.finished, self.finished),
        )


@dataclass
class Continuations:
    """Draws strings on, in batches of like lengths.

    `prompt` int64 [C] is the row of the prompts that each string continues; `fed` counts the
    tokens that the model read.
    """

    given: Prepared
    params: PackedAdaptors  # of the C rows
    prompt: Tensor
    batch_size: int | None
    fed: int = 0

    def extend(self, strings: Strings, cap: int, seeds: int | Tensor, sequence_ids: Tensor) -> None:
        """Draw on, in place, those that have not ended, up to `cap` tokens.

        `seeds`: one, or int64 [C]; token t of a row has the counter (sequence id, t).
        """
        open_ = ~strings.finished & (strings.status == 0) & (strings.length < cap)
        rows = open_.nonzero()[:, 0]
        rows = rows[torch.argsort(strings.length[rows], stable=True)]
        for part in torch.split(rows, self.batch_size or max(1, len(rows))):
            if len(part):
                self._run(strings, part, cap, seeds, sequence_ids)

    def _run(
        self, strings: Strings, rows: Tensor, cap: int, seeds: int | Tensor, sequence_ids: Tensor
    ) -> None:
        given, lm = self.given, self.given.lm
        logits, state = self._read(strings, rows)
        device = strings.tokens.device
        sums = SequenceState.start(
            *(len(rows),),
            eos_token_id=given.eos,
            pad_token_id=given.pad,
            sequence_ids=sequence_ids[rows],
            device=device,
        )
        sums.length.copy_(strings.length[rows])
        sums.mu.copy_(strings.mu[rows, strings.length[rows]])
        while True:
            at, was = sums.length.clone(), sums.finished.clone()
            params = self.params.params
            adaptor = PackedAdaptors(
                params[rows] if len(params) > 1 else params, len(rows), self.params.stateful
            )
            seed = seeds[rows] if isinstance(seeds, Tensor) else seeds
            step = sample(logits, adaptor, seed=seed, state=sums, strict=False)
            drew = ~was & (step.status == 0)
            index, place = rows[drew], at[drew]
            strings.tokens[index, place] = step.token[drew]
            values = torch.stack([step.log_p, step.log_q, step.log_z, step.log_kept, step.kl])
            strings.books[:, index, place] = values[:, drew]
            strings.mu[index, place + 1] = sums.mu[drew]
            failed = ~was & (step.status != 0)
            strings.status[rows] = torch.where(failed, step.status, strings.status[rows])
            strings.length[index] = sums.length[drew]
            strings.finished[index] = sums.finished[drew]
            # A row at the cap goes no further, but has drawn no end token.
            sums.finished |= sums.length >= cap
            live = (~sums.finished).nonzero()[:, 0]
            if len(live) == 0:
                return
            token = torch.where(sums.finished, given.pad, step.token)
            self.fed += len(live)
            if len(live) <= COMPACT_AT * len(rows):
                rows, token = rows[live], token[live]
                sums, state = sums.select(live), lm.select(state, live)
            logits, state = lm.step(token, state)

    def _read(self, strings: Strings, rows: Tensor) -> tuple[Tensor, Any]:
        """Read prompts and prefixes, equal ones once."""
        given = self.given
        length, prompt = strings.length[rows].cpu(), self.prompt[rows].cpu()
        width = int(length.max())
        tokens = strings.tokens[rows, :width].cpu()
        real = torch.arange(width) < length[:, None]
        ids = torch.cat([given.ids[prompt], tokens], 1)
        mask = torch.cat([given.mask[prompt], real], 1)
        # Left padding: what is not real goes first.
        order = torch.argsort(mask.long(), dim=1, stable=True)
        ids, mask = ids.gather(1, order), mask.gather(1, order)
        ids = torch.where(mask, ids, given.pad)
        both, which = torch.unique(torch.cat([ids, mask.long()], 1), dim=0, return_inverse=True)
        ids, mask = trim(both[:, : ids.shape[1]], both[:, ids.shape[1] :].bool())
        self.fed += int(mask.sum())
        logits, state = given.lm.prefill(ids, mask)
        which = which.to(logits.device)
        return logits[which], given.lm.select(state, which)
