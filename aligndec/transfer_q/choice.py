"""Stage 5, choice: z ~ π_ref(z|s) · exp(Q̂(s, z)/α) on the candidates, and what it adds up to."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from aligndec.step import score
from aligndec.transfer_q.branches import Branches
from aligndec.transfer_q.candidates import CandidateSets
from aligndec.transfer_q.fused import rescore
from aligndec.transfer_q.live import Decision, Live
from aligndec.transfer_q.options import Options
from aligndec.transfer_q.steps import Choice

__all__ = ["SUMS", "Chosen", "choose"]

SUMS = ("log_p", "log_ref", "log_alg", "kl", "log_kept")


class Chosen(NamedTuple):
    """The branch of each live string, int64 [b], and what it adds to `SUMS`, float64 [5, b]."""

    branch: Tensor
    sums: Tensor


def choose(
    options: Options,
    decision: Decision,
    live: Live,
    sets: CandidateSets,
    branches: Branches,
    value: Tensor,
) -> Chosen:
    """Choose a candidate for each live string by its value; gated ones have drawn theirs."""
    choice = _rescored(options, decision, live, sets, value)
    branch = branches.chosen(choice.index)
    log_p = sets.log_p.gather(1, choice.index[:, None])[:, 0]
    # Independent draws are no set: they have no mass.
    log_kept = torch.zeros_like(log_p) if options.uniform else sets.log_p.logsumexp(1)
    if sets.step is not None:
        log_p = torch.where(sets.gated, sets.step.log_p, log_p)
        log_kept = torch.where(sets.gated, sets.step.log_kept, log_kept)
    first = [log_p, choice.log_ref, choice.log_alg, choice.kl, log_kept.clamp(max=0.0)]
    # The rest of the block was drawn as it is, whatever was chosen.
    rest_p, rest_q = branches.paths.log_p[branch], branches.paths.log_q[branch]
    none = torch.zeros_like(rest_p)
    rest = [rest_p, rest_q, rest_q, none, none]
    return Chosen(branch, torch.stack(first) + torch.stack(rest))


def _rescored(
    options: Options, decision: Decision, live: Live, sets: CandidateSets, value: Tensor
) -> Choice:
    """Draw from the law on the candidates of each string; a gated string has its draw's books."""
    log_ref = _reference(options, live, sets)
    index = (~sets.gated).nonzero()[:, 0]
    none = torch.zeros_like(log_ref[:, 0])
    choice = Choice(torch.zeros_like(live.rows), none, none, none)
    if sets.step is not None:
        choice = Choice(choice.index, sets.step.log_p, sets.step.log_q, sets.step.kl)
    if len(index) == 0:
        return choice
    chosen = rescore(
        log_ref[index],
        value[index],
        alpha=options.alpha,
        greedy=options.select == "greedy",
        seed=decision.seed,
        sequence_ids=live.sequence_ids[index],
        positions=decision.t,
    )
    return Choice(*(x.index_copy(0, index, y) for x, y in zip(choice, chosen, strict=True)))


def _reference(options: Options, live: Live, sets: CandidateSets) -> Tensor:
    """Return log π_ref of the candidates, float64 [b, k], −inf for entries that are none."""
    log_ref = sets.log_p
    if options.uniform:
        return torch.where(log_ref > -torch.inf, 0.0, log_ref)
    if options.reference == "sft":
        assert live.sft is not None
        log_sft = score(live.sft.logits[:, None], sets.token, strict=False).log_p
        return torch.where(log_ref > -torch.inf, log_sft, log_ref)
    return log_ref
