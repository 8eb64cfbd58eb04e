"""Suffix resampling: a chain that keeps a prefix of its string and draws the rest anew.

A step picks a cut c uniformly in 0 … L(y) − 1, draws a new suffix after y[:c] from the local
adaptor, giving y', and accepts iff ln u < W(y') − W(y) + ln L(y) − ln L(y'). W is the log-weight of
the whole string. The lengths belong to it: a cut at c has probability 1/L(y) on the way there and
1/L(y') on the way back.

In blocks ("power sampling" as published): the string grows to b, 2b, … tokens by local draws, and
some steps on the law with that length cap follow each time, so that the start is near the target.
"""

from __future__ import annotations

import torch
from torch import Tensor

from aligndec import rng
from aligndec.generation import Generation, sequence_id
from aligndec.global_law.continuations import Continuations, Strings
from aligndec.global_law.request import Request
from aligndec.global_law.samples import GlobalSamples, strings_of
from aligndec.global_law.targets import log_weight
from aligndec.imh import Chain, of_series
from aligndec.reference import exact
from aligndec.step import PackedAdaptors, rows_of

__all__ = ["suffix"]


def suffix(request: Request) -> GlobalSamples:
    """Run `n_chains` chains for each prompt."""
    chains = _Chains(request)
    cap, block = request.max_new_tokens, request.options.block_size
    stages = range(block, cap, block) if block else ()
    for stage in (*stages, cap):
        chains.extend(stage, last=stage == cap)
        for _ in range(request.options.moves if block else 0):
            chains.move()
    chains.record(chains.state, chains.weight, torch.ones_like(chains.state.finished))
    for _ in range(request.n_steps - 1):
        proposal, weight, taken = chains.move()
        chains.record(proposal, weight, taken)
    if chains.bar is not None:
        chains.bar.close()
    return chains.samples()


def cuts(strings: Strings) -> Tensor:
    """Count the places where a string may be cut, int64 [C]: before any of its tokens."""
    return strings.length.clamp(min=1)  # bad logits may come before the first


def log_cuts(strings: Strings) -> Tensor:
    """Return ln of their number, what the choice of one costs; float64 [C]."""
    return exact.log(cuts(strings).double())


class _Chains:
    """All chains of all prompts, prompt-major, and what they proposed."""

    def __init__(self, request: Request) -> None:
        self.request = request
        given = self.given = request.prepare()
        cap = request.max_new_tokens
        rows = len(given.ids) * request.n_chains
        self.bar = request.bar(rows * (request.n_steps + request.warm_moves), "str")
        params, device = rows_of(given.adaptors), given.lm.device
        prompt = torch.arange(rows) // request.n_chains
        self.continuations = Continuations(
            given=given,
            params=PackedAdaptors(
                (params[prompt] if len(params) > 1 else params).to(device),
                rows,
                any(a.stateful for a in given.adaptors),
            ),
            prompt=prompt,
            batch_size=request.batch_size,
        )
        self.prompt = prompt.to(device)
        self.draw = (torch.arange(rows) % request.n_chains).to(device)
        self.names = request.chain_names(given.names.to(device)).view(-1)
        self.state = Strings.empty(rows, cap, given.pad, device)
        self.cap, self.last, self.step = cap, False, 0
        # By step: the proposals, their weights, whether each was taken.
        self.proposals: list[Strings] = []
        self.weights: list[Tensor] = []
        self.taken: list[Tensor] = []

    def extend(self, cap: int, *, last: bool) -> None:
        """Draw on to at most `cap` tokens; from now on the target is that of this cap."""
        self.cap, self.last = cap, last
        if last:
            self._advance()
        names = sequence_id(self.given.names.to(self.prompt.device)[self.prompt], self.draw)
        self.continuations.extend(self.state, cap, self.request.seed, names)
        self.weight = self._weigh(self.state)

    def move(self) -> tuple[Strings, Tensor, Tensor]:
        """Make one step of every chain; return proposals, their weights, and which were taken."""
        self.step += 1
        seed, state = self.request.seed, self.state
        r, r2 = rng.philox(seed, self.names, self.step, rng.SUFFIX)
        proposal = state.cut(rng.multiply_high(r, cuts(state)), self.given.pad)
        child = rng.child_seed(seed, self.names, self.step, rng.SUFFIX_TOKENS)
        self.continuations.extend(proposal, self.cap, child, torch.zeros_like(self.names))
        weight = self._weigh(proposal)
        ratio = log_cuts(state) - log_cuts(proposal)
        # −inf less −inf is NaN, which is above nothing; finite less −inf is +inf.
        taken = exact.log(rng.uniform(r2)) < (weight - self.weight) + ratio
        self.state = state.where(taken, proposal)
        self.weight = torch.where(taken, weight, self.weight)
        self._advance()
        return proposal, weight, taken

    def record(self, proposal: Strings, weight: Tensor, taken: Tensor) -> None:
        """Keep a step's proposals."""
        self.proposals.append(proposal)
        self.weights.append(weight)
        self.taken.append(taken)

    def _weigh(self, strings: Strings) -> Tensor:
        unfinished = self.request.unfinished if self.last else "prefix"
        generation = self._generation([strings], self.prompt, self.draw)
        return log_weight(generation, self.request.target, unfinished=unfinished)

    def _advance(self) -> None:
        if self.bar is not None:
            self.bar.update(len(self.names))

    def _generation(self, steps: list[Strings], prompt: Tensor, draw: Tensor) -> Generation:
        """Strings of several steps, [steps, prompts, chains] in the order prompt, step, chain."""
        shape = (len(steps), len(self.given.ids), self.request.n_chains)

        def rows(name: str) -> Tensor:
            stacked = torch.stack([getattr(step, name) for step in steps])
            by_prompt = stacked.view(*shape, *stacked.shape[2:]).transpose(0, 1)
            return by_prompt.flatten(0, 2)

        return strings_of(
            *(self.given, prompt, draw, rows("tokens"), rows("sums").t()),
            length=rows("length"),
            finished=rows("finished"),
            status=rows("status"),
            seed=self.request.seed,
            max_new_tokens=self.cap,
        )

    def samples(self) -> GlobalSamples:
        """Return what was proposed and where the chains were when it counted."""
        request, prompts = self.request, len(self.given.ids)
        n_chains, steps = request.n_chains, len(self.taken)
        device = self.prompt.device

        def by_chain(columns: list[Tensor]) -> Tensor:  # [P, R, steps]
            return torch.stack(columns, -1).view(prompts, n_chains, steps)

        weight, taken = by_chain(self.weights), by_chain(self.taken)
        number = torch.arange(steps, device=device)
        held = torch.where(taken, number, 0).cummax(-1).values
        rate = (taken.sum(-1) - 1).double() / (steps - 1)
        draw = held * n_chains + torch.arange(n_chains, device=device)[:, None]
        draw = draw[..., request.kept_steps(device)].transpose(1, 2).reshape(prompts, -1)

        def by_prompt(x: Tensor) -> Tensor:  # [P, steps · R]
            return x.transpose(1, 2).reshape(prompts, -1)

        total = steps * n_chains
        prompt = torch.arange(prompts, device=device).repeat_interleave(total)
        generation = self._generation(
            self.proposals, prompt, torch.arange(total, device=device).repeat(prompts)
        )
        first = total * torch.arange(prompts, device=device)[:, None]
        index = torch.where(by_prompt(weight).gather(1, draw) == -torch.inf, -1, first + draw)
        target = generation.log_q.view(prompts, steps, n_chains).transpose(1, 2) + weight
        states = Chain(held, taken, rate)
        judged = of_series(target.gather(-1, held), weight.gather(-1, held), states)
        counts = (self.continuations.fed, request.model.forwards)
        return GlobalSamples(
            generation, index, by_prompt(taken), by_prompt(weight), judged, *counts
        )
