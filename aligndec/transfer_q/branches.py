"""One decision's branches: every candidate of every string, followed to the end of its block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aligndec import rng
from aligndec.rewards import Ids, RewardCalls
from aligndec.transfer_q.candidates import Pool
from aligndec.transfer_q.options import GREEDY, Options
from aligndec.transfer_q.rollouts import Counted, Drawer, Front, Paths, walk

__all__ = ["SUMS", "Branches", "Context", "Live", "Strings", "drawer", "grow"]

SUMS = ("log_p", "log_ref", "log_alg", "kl", "log_kept")


class Strings:
    """Records of N strings: tokens so far, as a tensor and as lists, and `SUMS` float64 [5, N]."""

    def __init__(self, prompts: Ids, width: int, pad: int, device: torch.device) -> None:
        n = len(prompts)
        self.prompts, self.texts = prompts, [list[int]() for _ in prompts]
        self.tokens = torch.full((n, width), pad, dtype=torch.int64, device=device)
        self.length = torch.zeros(n, dtype=torch.int64, device=device)
        self.status = torch.zeros_like(self.length)
        self.finished = torch.zeros_like(self.length, dtype=torch.bool)
        self.sums = torch.zeros(len(SUMS), n, dtype=torch.float64, device=device)


@dataclass(frozen=True)
class Context:
    """What does not change during one run of `generate`."""

    lm: Counted
    sft: Counted | None
    options: Options
    reward: RewardCalls
    baseline_reward: RewardCalls | None
    strings: Strings
    sequence_ids: Tensor
    max_new_tokens: int
    seed: int
    ends: Tensor  # tokens that end a string
    rollout_ends: Tensor
    pad: int


@dataclass
class Live:
    """The strings still running: their rows [b] of the records and where the models stand."""

    rows: Tensor
    logits: Tensor
    state: Any
    sft_logits: Tensor | None
    sft_state: Any

    @classmethod
    def read(cls, lm: Counted, sft: Counted | None, ids: Tensor, mask: Tensor) -> Live:
        """Read prompts, left padded [G, T]: rows 0 … G − 1."""
        logits, state = lm.prefill(ids, mask)
        sft_logits, sft_state = (None, None) if sft is None else sft.prefill(ids, mask)
        rows = torch.arange(len(ids), device=logits.device)
        return cls(rows, logits, state, sft_logits, sft_state)

    def keep(self, context: Context, index: Tensor) -> Live:
        """Drop the other strings; without any left no model is asked for its state."""
        if len(index) == 0:
            return Live(self.rows[:0], self.logits[:0], None, None, None)
        sft_logits, sft_state = self.sft_logits, self.sft_state
        if context.sft is not None and sft_logits is not None:
            sft_logits, sft_state = sft_logits[index], context.sft.select(sft_state, index)
        state = context.lm.select(self.state, index)
        return Live(self.rows[index], self.logits[index], state, sft_logits, sft_state)


@dataclass
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

    def numbers(self, b: int, k: int) -> Tensor:
        """Return the branch of each candidate, int64 [b, k]; entries without one hold 0."""
        table = torch.zeros(b, k, dtype=torch.int64, device=self.owner.device)
        table[self.owner, self.column] = torch.arange(len(self.owner), device=table.device)
        return table


def drawer(
    context: Context, live: Live, owner: Tensor, numbers: Tensor, t: int, steps: range
) -> Drawer:
    """Return the source of rollout tokens at position t; numbers are candidate · N + rollout.

    A token is a pure function of (string, position, candidate, rollout, step).
    """
    if context.options.rollout == "greedy":
        return Drawer(GREEDY, None, steps.start)
    ids = context.sequence_ids[live.rows]
    child = rng.child_seed(context.seed, ids, t, rng.ROLLOUT)[owner]
    step = torch.arange(steps.start, steps.stop, device=owner.device)
    bits = rng.philox(child[:, None], numbers[:, None], step, rng.ROLLOUT)[0]
    return Drawer(context.options.rollout_adaptor, rng.uniform(bits), steps.start)


def grow(context: Context, live: Live, pool: Pool, t: int, size: int) -> Branches:
    """Follow each candidate through a block of `size` tokens, in one batch."""
    keep, token = pool.log_p > -torch.inf, pool.token
    if pool.step is not None:
        alone = torch.zeros_like(keep)
        alone[:, 0] = True
        keep = torch.where(pool.gated[:, None], alone, keep)
        drawn = torch.where(pool.gated, pool.step.token, token[:, 0])
        token = torch.cat([drawn[:, None], token[:, 1:]], 1)
    owner, column = keep.nonzero(as_tuple=True)
    paths = Paths.empty(len(owner), size, context.pad, owner.device)
    paths.tokens[:, 0] = token[owner, column]
    paths.length += 1
    paths.ended = torch.isin(paths.tokens[:, 0], context.ends)
    branches = Branches(owner, column, paths, ~pool.gated[owner], None)
    ahead = context.options.look_ahead > 0
    if not ahead and size == 1:
        return branches
    goes_on = ~paths.ended
    if t + size >= context.max_new_tokens:  # nothing follows a gated string's last token
        goes_on &= branches.valued
    index = goes_on.nonzero()[:, 0]
    if len(index) > 0:
        front = Front.branch(context.lm, live.state, owner[index], index, paths.tokens[index, 0])
        if size > 1:
            steps = range(size - 1)
            draw = drawer(context, live, owner, column * context.options.n_rollouts, t, steps)
            walk(front, paths, draw, steps, context.ends, feed_last=ahead)
        branches.front = front
    return branches
