"""Stage 3, rollouts: N continuations τ of every branch, drawn from the baseline."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aligndec.transfer_q.branches import Branches
from aligndec.transfer_q.continuations import Paths, drawer, walk
from aligndec.transfer_q.live import Decision, Live
from aligndec.transfer_q.options import Options

__all__ = ["Rollouts", "roll_out"]


@dataclass(frozen=True)
class Rollouts:
    """N rollouts behind each branch, in slots branch · N + rollout.

    A branch that ended, or that has no look-ahead, has one outcome, in its first slot, which stands
    for all N.
    """

    n: int
    paths: Paths  # of all slots
    valued: Tensor  # int64 [m], the branches whose value comes from rewards
    single: Tensor  # bool [branches]
    used: Tensor  # int64 [u], slots with an outcome of their own
    status: Tensor  # int64 [b], of unusable logits in the branches or rollouts of a string

    @property
    def branch(self) -> Tensor:
        """The branch of each used slot, int64 [u]."""
        return self.used // self.n

    def spread(self, x: Tensor) -> Tensor:
        """Values [u] of the used slots as [m, N]."""
        slots = torch.zeros(len(self.single) * self.n, dtype=x.dtype)
        slots[self.used.cpu()] = x.cpu()
        table = slots.view(-1, self.n)
        table = torch.where(self.single.cpu()[:, None], table[:, :1], table)
        return table[self.valued.cpu()]


def roll_out(
    options: Options, decision: Decision, live: Live, branches: Branches, *, ends: Tensor, pad: int
) -> Rollouts:
    """Draw the rollouts of all branches in one batch.

    Parameters
    ----------
    ends : Tensor
        int64 tokens that end a rollout.
    pad : int
        Stands behind the end.
    """
    n, owner, ended = options.n_rollouts, branches.owner, branches.paths.ended
    # An end token is worth the string's own reward, whoever values the others.
    wanted = branches.valued & (ended | (options.value_fn is None))
    single = ended | (options.look_ahead == 0)
    first = torch.arange(n, device=owner.device) == 0
    used = (wanted[:, None] & (~single[:, None] | first)).reshape(-1).nonzero()[:, 0]
    paths = _draw(options, decision, live, branches, ends, pad)
    status = torch.zeros_like(live.rows)
    status = status.scatter_reduce(0, owner, branches.paths.status, "amax")
    status = status.scatter_reduce(0, owner, paths.status.view(-1, n).amax(1), "amax")
    return Rollouts(n, paths, wanted.nonzero()[:, 0], single, used, status)


def _draw(
    options: Options, decision: Decision, live: Live, branches: Branches, ends: Tensor, pad: int
) -> Paths:
    """Draw N rollouts of every branch that goes on and is valued; the others' slots stay empty."""
    n, ahead = options.n_rollouts, options.look_ahead
    owner, front = branches.owner, branches.front
    paths = Paths.empty(len(owner) * n, ahead, pad, owner.device)
    if ahead == 0 or front is None:
        return paths
    rows = (front.alive & branches.valued[front.index]).nonzero()[:, 0].repeat_interleave(n)
    if len(rows) == 0:
        return paths
    rollout = torch.arange(n, device=owner.device)
    items = front.index[rows] * n + rollout.repeat(len(rows) // n)
    numbers = (branches.column[:, None] * n + rollout).reshape(-1)
    steps = range(decision.size - 1, decision.size - 1 + ahead)
    draw = drawer(options, decision, live, owner.repeat_interleave(n), numbers, steps)
    walk(front.fan_out(rows, items), paths, draw, steps, ends, feed_last=False)
    return paths
