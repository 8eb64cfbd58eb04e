"""What becomes of the branches: rollouts, their rewards, and the values of the candidates."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from aligndec.transfer_q.branches import Branches, Context, Live, drawer
from aligndec.transfer_q.candidates import Pool
from aligndec.transfer_q.rollouts import Paths, walk
from aligndec.transfer_q.values import estimate, teacher_forced

__all__ = ["value_branches"]


@dataclass
class _Outcomes:
    """Slots branch · N + rollout; `used` int64 [u] are those with an outcome of their own.

    A branch that ended, or that has no look-ahead, has one outcome, in its first slot, which stands
    for all N.
    """

    n: int
    index: Tensor  # int64 [m], the branches to be valued
    single: Tensor  # bool [branches]
    used: Tensor
    rolls: Paths

    def spread(self, x: Tensor) -> Tensor:
        """Values [u] of the used slots as [m, N]."""
        slots = torch.zeros(len(self.single) * self.n, dtype=x.dtype)
        slots[self.used.cpu()] = x.cpu()
        table = slots.view(-1, self.n)
        table = torch.where(self.single.cpu()[:, None], table[:, :1], table)
        return table[self.index.cpu()]


def value_branches(
    context: Context, live: Live, pool: Pool, branches: Branches, t: int, size: int
) -> tuple[Tensor, Tensor]:
    """Value the candidates of the live strings.

    Returns
    -------
    value : Tensor
        float64 [b, k] Q̂; 0 where there is no candidate.
    status : Tensor
        int64 [b]: that of unusable logits somewhere in the branches or rollouts of a string.
    """
    options, owner, paths = context.options, branches.owner, branches.paths
    given = options.value_fn is not None
    value = _asked(context, live, pool) if given else torch.zeros_like(pool.log_p)
    # An end token is worth the string's own reward, whoever values the others.
    index = (branches.valued & (paths.ended | (not given))).nonzero()[:, 0]
    status = torch.zeros_like(pool.status).scatter_reduce(0, owner, paths.status, "amax")
    if len(index) == 0:
        return value, status
    n = options.n_rollouts
    rolls = _roll_out(context, live, branches, t, size)
    status = status.scatter_reduce(0, owner, rolls.status.view(-1, n).amax(1), "amax")
    single = paths.ended | (options.look_ahead == 0)
    first = torch.arange(n, device=owner.device) == 0
    wanted = torch.zeros_like(single).index_fill(0, index, True)
    used = (wanted[:, None] & (~single[:, None] | first)).reshape(-1).nonzero()[:, 0]
    outcomes = _Outcomes(n, index, single, used, rolls)
    q = _estimate(context, live, pool, branches, outcomes)
    value[owner[index], branches.column[index]] = q.to(value.device)
    return value, status


def _roll_out(context: Context, live: Live, branches: Branches, t: int, size: int) -> Paths:
    """Draw N rollouts of every branch that goes on and is valued."""
    options, owner, front = context.options, branches.owner, branches.front
    n, ahead = options.n_rollouts, options.look_ahead
    rolls = Paths.empty(len(owner) * n, ahead, context.pad, owner.device)
    if ahead == 0 or front is None:
        return rolls
    rows = (front.alive & branches.valued[front.index]).nonzero()[:, 0].repeat_interleave(n)
    if len(rows) == 0:
        return rolls
    rollout = torch.arange(n, device=owner.device)
    items = front.index[rows] * n + rollout.repeat(len(rows) // n)
    numbers = (branches.column[:, None] * n + rollout).reshape(-1)
    steps = range(size - 1, size - 1 + ahead)
    draw = drawer(context, live, owner.repeat_interleave(n), numbers, t, steps)
    walk(front.fan_out(rows, items), rolls, draw, steps, context.rollout_ends, feed_last=False)
    return rolls


def _estimate(
    context: Context, live: Live, pool: Pool, branches: Branches, outcomes: _Outcomes
) -> Tensor:
    """Reward the outcomes; Q̂ float64 [m] of the branches `outcomes.index`."""
    options, strings = context.options, context.strings
    of = outcomes.used // outcomes.n
    rows = live.rows[branches.owner[of]].tolist()
    heads = branches.paths.texts(of)
    tails = outcomes.rolls.texts(outcomes.used)
    prompts = [strings.prompts[row] for row in rows]
    parts = zip(rows, heads, tails, strict=True)
    texts = [strings.texts[row] + head + tail for row, head, tail in parts]
    reward = outcomes.spread(context.reward(prompts, texts))
    baseline = ratio = first = None
    if options.mode != "direct" and context.baseline_reward is not None:
        baseline = outcomes.spread(context.baseline_reward(prompts, texts))
    elif options.mode != "direct" and options.secret:
        ratio, first = _secret(context, live, pool, branches, outcomes)
        if options.mode != "soft" or options.reference == "sft":
            first = None
    return estimate(options, reward, baseline, ratio, first)


def _secret(
    context: Context, live: Live, pool: Pool, branches: Branches, outcomes: _Outcomes
) -> tuple[Tensor, Tensor]:
    """Σ (log π_BL − log π_sft) over the rollouts [m, N], and over the branches' own tokens [m]."""
    assert context.sft is not None
    assert live.sft_logits is not None
    paths, rolls, owner = branches.paths, outcomes.rolls, branches.owner
    of = outcomes.used // outcomes.n
    own = paths.length[of]
    # A path that is shorter than its block has ended: nothing follows the gap behind it.
    whole = torch.cat([paths.tokens[of], rolls.tokens[outcomes.used]], 1)
    length = own + rolls.length[outcomes.used]
    log_sft = teacher_forced(context.sft, live.sft_logits, live.sft_state, owner[of], whole, length)
    inside = torch.arange(whole.shape[1], device=whole.device) < own[:, None]
    # The rollouts' own law is the baseline; a greedy one is none, there it is the model's.
    log_bl = rolls.log_p if context.options.rollout == "greedy" else rolls.log_q
    ratio = log_bl[outcomes.used] - log_sft.masked_fill(inside, 0.0).sum(1)
    on_path = pool.log_p[owner[of], branches.column[of]] + paths.log_p[of]
    on_path -= log_sft.masked_fill(~inside, 0.0).sum(1)
    return outcomes.spread(ratio), outcomes.spread(on_path)[:, 0]


def _asked(context: Context, live: Live, pool: Pool) -> Tensor:
    """Ask the value function about the candidates of the strings without a gate, [b, k]."""
    assert context.options.value_fn is not None
    value = torch.zeros_like(pool.log_p)
    index = (~pool.gated).nonzero()[:, 0]
    if len(index) == 0:
        return value
    rows = live.rows[index].tolist()
    prompts = [context.strings.prompts[row] for row in rows]
    texts = [list(context.strings.texts[row]) for row in rows]
    answer = context.options.value_fn(prompts, texts, pool.token[index])
    if answer is None:
        raise TypeError("TransferQ: value_fn must return values [B, k], got None")
    given = torch.as_tensor(answer)
    if given.shape != (len(rows), pool.token.shape[1]) or not bool(given.isfinite().all()):
        raise ValueError(
            f"TransferQ: value_fn must return finite [B, k] = [{len(rows)}, "
            f"{pool.token.shape[1]}], got {list(given.shape)} with "
            f"{int((~given.isfinite()).sum())} values that are not finite"
        )
    value[index] = given.detach().to(value)
    return value
