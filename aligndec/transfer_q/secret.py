"""The baseline's reward where only its densities are known: β · (log π_BL − log π_sft)."""

from __future__ import annotations

import torch
from torch import Tensor

from aligndec.generation import feed_known
from aligndec.step import score
from aligndec.transfer_q.branches import Branches
from aligndec.transfer_q.candidates import CandidateSets
from aligndec.transfer_q.cursor import Cursor
from aligndec.transfer_q.options import Options
from aligndec.transfer_q.rollouts import Rollouts

__all__ = ["log_ratios", "teacher_forced"]


def log_ratios(
    options: Options, sft: Cursor, sets: CandidateSets, branches: Branches, rollouts: Rollouts
) -> tuple[Tensor, Tensor]:
    """Σ (log π_BL − log π_sft) over the rollouts [m, N], and over the branches' own tokens [m].

    One teacher-forced pass of `sft` over all outcomes; nothing of their prefix is read again.
    """
    of, used = rollouts.branch, rollouts.used
    paths, rolls, owner = branches.paths, rollouts.paths, branches.owner[of]
    own = paths.length[of]
    # A path that is shorter than its block has ended: nothing follows the gap behind it.
    whole = torch.cat([paths.tokens[of], rolls.tokens[used]], 1)
    log_sft = teacher_forced(sft, owner, whole, own + rolls.length[used])
    inside = torch.arange(whole.shape[1], device=whole.device) < own[:, None]
    # The rollouts' own law is the baseline; a greedy one is none, there it is the model's.
    log_bl = rolls.log_p if options.rollout == "greedy" else rolls.log_q
    ratio = log_bl[used] - log_sft.masked_fill(inside, 0.0).sum(1)
    on_path = sets.log_p[owner, branches.column[of]] + paths.log_p[of]
    on_path -= log_sft.masked_fill(~inside, 0.0).sum(1)
    return rollouts.spread(ratio), rollouts.spread(on_path)[:, 0]


def teacher_forced(cursor: Cursor, rows: Tensor, paths: Tensor, length: Tensor) -> Tensor:
    """Score given continuations: log-probabilities float64 [M, W], 0 from `length` on.

    Parameters
    ----------
    cursor : Cursor
        The model; it stays usable.
    rows : Tensor
        int64 [M], row of the cursor that each continuation follows.
    paths, length : Tensor
        int64 [M, W] tokens, of which `length` >= 1 count.
    """
    at = torch.arange(paths.shape[1], device=paths.device)
    targets = torch.where(at < length[:, None], paths, -1)
    width = int(length.max()) if len(length) else 0
    out = torch.zeros(paths.shape, dtype=torch.float64, device=paths.device)
    if width == 0:
        return out
    lm, logits = cursor.lm, cursor.logits
    out[:, 0] = score(logits[rows], targets[:, 0], strict=False).log_p
    state, t = lm.select(cursor.state, rows), 1
    while t < width:
        block, state = feed_known(lm, paths[:, t - 1 : width - 1], state, logits)
        stop = t + block.shape[1]
        out[:, t:stop] = score(block, targets[:, t:stop].contiguous(), strict=False).log_p
        t = stop
    return out
