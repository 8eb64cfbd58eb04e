"""Particle filters over strings: N particles a filter, drawn locally, resampled where it is due.

After every step each particle has its running log-weight (`running`). When the weights of a filter
have become too unequal its slots choose new ancestors, the mean weight goes into the estimate of
ln Z, and the weights start again. Slot i of filter r draws with the sequence id
prompt_id · 2^32 + r · N + i whatever its ancestor, so a filter's results depend neither on the
batch nor on the other filters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aligndec.generation import COMPACT_AT, Generation, Prepared, sequence_id, trim
from aligndec.global_law.running import Prefixes, Running
from aligndec.global_law.samples import strings_of
from aligndec.imh import Scheme, smc_resample
from aligndec.step import SUMS, PackedAdaptors, SequenceState, sample

__all__ = ["Filters", "Setting"]


@dataclass(frozen=True)
class Setting:
    """What all filters of a run have in common."""

    given: Prepared
    n_particles: int
    threshold: float
    scheme: Scheme
    max_new_tokens: int
    seed: int
    keep_unfinished: bool
    most_rows: int  # of a forward
    ancestry: bool  # whether ancestors are kept
    bar: Any


@dataclass
class _Block:
    """Rows of one forward: the slots int64 [b] that they serve, logits and state of the model."""

    slots: Tensor
    logits: Tensor
    state: Any


class Filters:
    """F filters side by side; row f · N + i is slot i of filter f.

    Attributes
    ----------
    tokens : int64 [F · N, T]
    sums : SequenceState
        Of the strings; it follows the ancestors, but for the sequence ids.
    status : int64 [F · N]
        Of the bad row that ended the string.
    log_weight : float64 [F · N]
        Final weight and the filter's estimate so far.
    log_z_hat : float64 [F]
    root : int64 [F, N]
        The particle of the first step that each descends from.
    ancestors : int64 [F, T, N] or None
        The slot that each went on from after each step.
    fed : int
        Tokens that the model read.
    """

    def __init__(
        self,
        setting: Setting,
        running: Running,
        params: PackedAdaptors,
        prompt: Tensor,
        draw: Tensor,
    ) -> None:
        device = prompt.device
        self.setting, self.running, self.params = setting, running, params
        given, rows = setting.given, len(prompt)
        self.prompt, self.draw = prompt, draw  # [F · N], rows of the prompts; number of the slot
        self.names = sequence_id(given.names.to(device)[prompt], draw)
        n, width = setting.n_particles, setting.max_new_tokens
        self.tokens = torch.full((rows, width), given.pad, dtype=torch.int64, device=device)
        self.sums = SequenceState.start(
            *(rows,),
            eos_token_id=given.eos,
            pad_token_id=given.pad,
            sequence_ids=self.names,
            device=device,
        )
        self.status = torch.zeros_like(self.sums.length)
        self.anchor = torch.zeros(rows, dtype=torch.float64, device=device)  # S when w was last 1
        self.log_z_hat = self.anchor.new_zeros(rows // n)
        self.slot = torch.arange(n, device=device)
        self.root = self.slot.expand(rows // n, n).contiguous()
        self.ancestors = None
        if setting.ancestry:
            self.ancestors = self.slot.expand(rows // n, width, n).contiguous()
        self.fed = 0
        running.start(rows, device)

    def run(self, logits: Tensor, state: Any, prompt: Tensor) -> None:
        """Draw the strings after prompts that were read: row i continues row prompt[i] of them."""
        lm = self.setting.given.lm
        slots = torch.arange(len(prompt), device=prompt.device)
        parts = torch.split(slots, self.setting.most_rows)
        self.blocks = [
            _Block(rows, logits[prompt[rows]], lm.select(state, prompt[rows])) for rows in parts
        ]
        last = self.setting.max_new_tokens - 1
        for t in range(last + 1):
            running = self._draw(t)
            if t == last or bool(self.sums.finished.all()):
                self._advance(len(self.names) * (last - t))
                break
            self._feed(t, self._resample(t, running))
        self.blocks = []
        self._finish()

    def _draw(self, t: int) -> Tensor:
        """Draw token t of every live row; return the running weights."""
        was_live = ~self.sums.finished
        for block in self.blocks:
            part = self.sums.select(block.slots)
            params = self.params.params
            if len(params) > 1:
                params = params[block.slots]
            adaptor = PackedAdaptors(params, len(block.slots), self.params.stateful)
            step = sample(block.logits, adaptor, seed=self.setting.seed, state=part, strict=False)
            bad = step.token < 0
            self.status[block.slots] = torch.where(bad, step.status, self.status[block.slots])
            drawn = torch.where(bad, self.setting.given.pad, step.token)
            self.tokens[block.slots, t] = drawn
            self.sums.write(block.slots, part)
        self._advance(len(self.names))
        weight = self.running.after(t, self.sums, was_live, self._prefixes(t + 1))
        return torch.where(self.status == 0, weight, -torch.inf)

    def _resample(self, t: int, running: Tensor) -> Tensor | None:
        """Give slots new ancestors where it is due; return them as rows [F · N], or None."""
        n, setting = self.setting.n_particles, self.setting
        made = smc_resample(
            (running - self.anchor).view(-1, n),
            threshold=setting.threshold,
            resampling=setting.scheme,
            seed=setting.seed,
            sequence_ids=self.names.view(-1, n),
            positions=t,
        )
        due = made.due & ~self.sums.finished.view(-1, n).all(1)
        if not bool(due.any()):
            return None
        slot = torch.where(due[:, None], made.ancestor, self.slot)
        first = n * torch.arange(len(slot), device=slot.device)[:, None]
        index = (first + slot).view(-1)
        self.log_z_hat += torch.where(due, made.log_mean, 0.0)
        again = due.repeat_interleave(n)
        self.anchor = torch.where(again, running[index], self.anchor)
        self.tokens, self.status = self.tokens[index], self.status[index]
        self.sums = self.sums.select(index)
        self.sums.sequence_ids = self.names
        self.running.select(index)
        self.root = self.root.gather(1, slot)
        if self.ancestors is not None:
            self.ancestors[:, t] = slot
        return index

    def _feed(self, t: int, index: Tensor | None) -> None:
        """Feed token t of the live rows; `index`: the rows they come from, if any moved."""
        lm = self.setting.given.lm
        live = ~self.sums.finished
        self.fed += int(live.sum())
        if index is not None and len(self.blocks) > 1:
            self._read_again(t + 1, live.nonzero()[:, 0])
            return
        kept = []
        for block in self.blocks:
            slots = live.nonzero()[:, 0] if index is not None else block.slots[live[block.slots]]
            if len(slots) == 0:
                continue
            if index is not None:
                place = torch.empty_like(index)
                place[block.slots] = torch.arange(len(block.slots), device=place.device)
                block.state = lm.select(block.state, place[index[slots]])
                block.slots = slots
            elif len(slots) <= COMPACT_AT * len(block.slots):
                block.state = lm.select(block.state, live[block.slots].nonzero()[:, 0])
                block.slots = slots
            block.logits, block.state = lm.step(self.tokens[block.slots, t], block.state)
            kept.append(block)
        self.blocks = kept

    def _read_again(self, length: int, live: Tensor) -> None:
        """Read prompts and tokens anew: rows went from one block to another. Equal ones once."""
        given = self.setting.given
        self.fed -= len(live)
        self.blocks = []
        for slots in torch.split(live, self.setting.most_rows):
            prompt = self.prompt[slots].cpu()
            tokens = self.tokens[slots, :length].cpu()
            ids = torch.cat([given.ids[prompt], tokens], 1)
            mask = torch.cat([given.mask[prompt], torch.ones_like(tokens, dtype=torch.bool)], 1)
            both, which = torch.unique(torch.cat([ids, mask.long()], 1), dim=0, return_inverse=True)
            ids, mask = trim(both[:, : ids.shape[1]], both[:, ids.shape[1] :].bool())
            self.fed += int(mask.sum())
            logits, state = given.lm.prefill(ids, mask)
            which = which.to(logits.device)
            self.blocks.append(_Block(slots, logits[which], given.lm.select(state, which)))

    def _prefixes(self, width: int) -> Prefixes:
        """Show the strings of given rows as they are, of at most `width` tokens."""

        def strings(rows: Tensor) -> Generation:
            return strings_of(
                *(self.setting.given, self.prompt[rows], self.draw[rows]),
                *(self.tokens[rows, :width], self.sums.sums[: len(SUMS), rows]),
                length=self.sums.length[rows],
                finished=self.sums.finished[rows] & (self.status[rows] == 0),
                status=self.status[rows],
                seed=self.setting.seed,
                max_new_tokens=self.setting.max_new_tokens,
            )

        return strings

    def _advance(self, tokens: int) -> None:
        if self.setting.bar is not None:
            self.setting.bar.update(tokens)

    def _finish(self) -> None:
        """Weigh the whole strings."""
        n, setting = self.setting.n_particles, self.setting
        weight = self.running.final(self.sums, self._prefixes(setting.max_new_tokens))
        dead = self.status != 0
        if not setting.keep_unfinished:
            dead = dead | ~self.sums.finished
        weight = torch.where(dead, -torch.inf, weight) - self.anchor
        mean = smc_resample(weight.view(-1, n), threshold=0.0).log_mean
        self.log_weight = weight + self.log_z_hat.repeat_interleave(n)
        self.log_z_hat = self.log_z_hat + mean
