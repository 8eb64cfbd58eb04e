"""Stage 2, branches: every candidate of every string, followed to the end of its block."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aligndec.transfer_q.candidates import CandidateSets
from aligndec.transfer_q.continuations import Front, Paths, drawer, walk
from aligndec.transfer_q.live import Decision, Live
from aligndec.transfer_q.options import Options

__all__ = ["Branches", "grow"]


@dataclass(frozen=True)
class Branches:
    """n branches: candidate `column[i]` of live string `owner[i]`.

    `paths` is the candidate and the rest of its block (sums: of the rest alone); `valued` is False
    where a gated string takes its own draw. `front` stands behind the paths that go on, or, without
    look-ahead, before their last token; None: nothing was read yet.
    """

    owner: Tensor
    column: Tensor
    paths: Paths
    valued: Tensor
    front: Front | None

    def chosen(self, column: Tensor) -> Tensor:
        """Return the branch of candidate `column[i]` of each live string i, int64 [b]."""
        return (self.column == column[self.owner]).nonzero()[:, 0]  # branches are in this order


def grow(
    options: Options,
    decision: Decision,
    live: Live,
    sets: CandidateSets,
    *,
    ends: Tensor,
    pad: int,
) -> Branches:
    """Follow each candidate through a block, in one batch.

    Parameters
    ----------
    ends : Tensor
        int64 tokens that end a string.
    pad : int
        Stands behind the end.
    """
    size, ahead = decision.size, options.look_ahead > 0
    owner, column, token = _listed(sets)
    paths = Paths.empty(len(owner), size, pad, owner.device)
    paths.tokens[:, 0] = token
    paths.length += 1
    paths.ended = torch.isin(token, ends)
    valued = ~sets.gated[owner]
    # Without look-ahead a candidate is read only once it is chosen.
    goes_on = ~paths.ended if ahead or size > 1 else torch.zeros_like(paths.ended)
    if decision.last:  # nothing follows a gated string's last token
        goes_on &= valued
    index = goes_on.nonzero()[:, 0]
    if len(index) == 0:
        return Branches(owner, column, paths, valued, None)
    front = Front.at(live.baseline.branch(owner[index], token[index]), index)
    if size > 1:
        steps = range(size - 1)
        draw = drawer(options, decision, live, owner, column * options.n_rollouts, steps)
        walk(front, paths, draw, steps, ends, feed_last=ahead)
    return Branches(owner, column, paths, valued, front)


def _listed(sets: CandidateSets) -> tuple[Tensor, Tensor, Tensor]:
    """Return string, column and token of every candidate, int64 [n]; a gated string has its own."""
    keep, token = sets.log_p > -torch.inf, sets.token
    if sets.step is not None:
        alone = torch.zeros_like(keep)
        alone[:, 0] = True
        keep = torch.where(sets.gated[:, None], alone, keep)
        drawn = torch.where(sets.gated, sets.step.token, token[:, 0])
        token = torch.cat([drawn[:, None], token[:, 1:]], 1)
    owner, column = keep.nonzero(as_tuple=True)
    return owner, column, token[owner, column]
