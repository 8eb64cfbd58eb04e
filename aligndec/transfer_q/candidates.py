"""Stage 1, candidates: the tokens z that a decision is about, and the gate that spares it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from aligndec import rng
from aligndec.ops import current_ops
from aligndec.step import Step, sample
from aligndec.transfer_q.live import Decision, Live
from aligndec.transfer_q.options import BASE, GREEDY, Options

__all__ = ["CandidateSets", "candidate_sets"]


@dataclass(frozen=True)
class CandidateSets:
    """Candidates of b strings.

    `token` int64 [b, k]; `log_p` float64 [b, k] under the whole base law, −inf for entries that are
    no candidates (no probability, or drawn twice); `gated` bool [b] strings that take the
    baseline's own draw `step` instead; `status` int64 [b] of rows without a law.
    """

    token: Tensor
    log_p: Tensor
    gated: Tensor
    step: Step | None
    status: Tensor

    def select(self, index: Tensor) -> CandidateSets:
        """Gather strings."""
        step = None if self.step is None else Step(*(field[index] for field in self.step))
        token, log_p, gated = self.token[index], self.log_p[index], self.gated[index]
        return CandidateSets(token, log_p, gated, step, self.status[index])


def candidate_sets(options: Options, decision: Decision, live: Live) -> CandidateSets:
    """Find the candidates of each string: the most probable tokens, independent draws, or all."""
    logits, vocab = live.baseline.logits, live.baseline.logits.shape[1]
    k = vocab if options.candidates == "full" else min(options.k, vocab)
    if options.candidates == "sample":
        token, log_p, status = _drawn(options, decision, live)
    else:
        token, log_p, status = current_ops().candidates(logits, k, vocab)
    token, log_p = token.clamp(min=0), torch.where(status[:, None] == 0, log_p, -torch.inf)
    gated, step = torch.zeros_like(status, dtype=torch.bool), None
    if options.gate_entropy is not None or options.gate_top1 is not None:
        step = sample(
            logits,
            GREEDY if options.select == "greedy" else BASE,
            seed=decision.seed,
            sequence_ids=live.sequence_ids,
            positions=decision.t,
            strict=False,
        )
        if options.gate_entropy is not None:
            gated |= step.entropy < options.gate_entropy
        if options.gate_top1 is not None:
            # Unless they were drawn, the candidates begin with the most probable token.
            drawn = options.candidates == "sample"
            top = current_ops().candidates(logits, 1, vocab)[1] if drawn else log_p
            gated |= top[:, 0] >= math.log(options.gate_top1)
        gated &= status == 0
    return CandidateSets(token, log_p, gated, step, status)


def _drawn(options: Options, decision: Decision, live: Live) -> tuple[Tensor, Tensor, Tensor]:
    """Draw k independent candidates; a token that came before is no further candidate."""
    logits = live.baseline.logits
    child = rng.child_seed(decision.seed, live.sequence_ids, decision.t, rng.CANDIDATE)
    number = torch.arange(options.k, device=logits.device)
    uniforms = rng.uniform(rng.philox(child[:, None], number, 0, rng.CANDIDATE)[0])
    steps = [sample(logits, uniforms=u.contiguous(), strict=False) for u in uniforms.unbind(1)]
    token = torch.stack([step.token for step in steps], 1)
    log_p = torch.stack([step.log_p for step in steps], 1)
    if not options.uniform:
        again = (token[:, :, None] == token[:, None, :]).tril(-1).any(2)
        log_p = torch.where(again, -torch.inf, log_p)
    return token, log_p, steps[0].status
