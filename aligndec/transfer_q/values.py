"""Stage 4, values: from the rewards of the outcomes to Q̂(s, z) of the candidates."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from aligndec.rewards import Ids, RewardCalls
from aligndec.transfer_q.branches import Branches
from aligndec.transfer_q.candidates import CandidateSets
from aligndec.transfer_q.fused import value as segment_value
from aligndec.transfer_q.live import Live
from aligndec.transfer_q.options import Options, ValueFn
from aligndec.transfer_q.rollouts import Rollouts
from aligndec.transfer_q.secret import log_ratios

__all__ = ["Rewards", "Texts", "estimate", "values"]


class Rewards(NamedTuple):
    """The target reward r and, where it is known, the baseline's own r_BL."""

    target: RewardCalls
    baseline: RewardCalls | None


class Texts(NamedTuple):
    """Prompt x and completion y_<t of the live strings, as lists."""

    prompts: Ids
    completions: Ids


def values(
    options: Options,
    rewards: Rewards,
    live: Live,
    texts: Texts,
    sets: CandidateSets,
    branches: Branches,
    rollouts: Rollouts,
) -> Tensor:
    """Value the candidates of the live strings: Q̂ float64 [b, k], 0 where there is none."""
    value = torch.zeros_like(sets.log_p)
    if options.value_fn is not None:
        value = _asked(options.value_fn, texts, sets)
    valued = rollouts.valued
    if len(valued) == 0:
        return value
    of = rollouts.branch
    owner = branches.owner[of].tolist()
    blocks, tails = branches.paths.texts(of), rollouts.paths.texts(rollouts.used)
    prompts = [texts.prompts[i] for i in owner]
    parts = zip(owner, blocks, tails, strict=True)
    completions = [texts.completions[i] + block + tail for i, block, tail in parts]
    reward = rollouts.spread(rewards.target(prompts, completions))
    baseline = ratio = first = None
    if options.mode != "direct" and rewards.baseline is not None:
        baseline = rollouts.spread(rewards.baseline(prompts, completions))
    elif options.mode != "direct" and options.secret:
        assert live.sft is not None
        ratio, first = log_ratios(options, live.sft, sets, branches, rollouts)
        if options.mode != "soft" or options.reference == "sft":
            first = None
    q = estimate(options, reward, baseline, ratio, first)
    value[branches.owner[valued], branches.column[valued]] = q.to(value.device)
    return value


def estimate(
    options: Options,
    reward: Tensor,
    baseline_reward: Tensor | None,
    log_ratio: Tensor | None,
    log_first: Tensor | None,
) -> Tensor:
    """Estimate Q̂ of M branches from N rollouts each, float64 [M].

    Parameters
    ----------
    options : Options
        Mode and β.
    reward, baseline_reward : Tensor
        float64 [M, N] of the rollouts under the target and, if it is known, the baseline's reward.
    log_ratio : Tensor or None
        float64 [M, N]: Σ (log π_BL − log π_sft) over the rollouts, when the baseline's reward is
        secret.
    log_first : Tensor or None
        float64 [M]: the same over the candidate itself. In soft mode on top of the baseline it
        turns ln Z_r(s, z) into ln C(s, z), up to a constant of s.
    """
    if options.mode == "direct":
        return segment_value(reward).value
    beta = options.beta
    assert beta is not None
    ratio = reward / beta
    if baseline_reward is not None:
        ratio = (reward - baseline_reward) / beta
    elif log_ratio is not None:
        ratio = ratio - log_ratio
    if options.compat == "official":
        return (ratio.exp() * reward).mean(1)
    if options.mode == "indirect":
        return segment_value(reward, ratio, mode="snis").value
    log_c = segment_value(reward, ratio, mode="log_mean_exp").value
    return beta * (log_c if log_first is None else log_c - log_first)


def _asked(value_fn: ValueFn, texts: Texts, sets: CandidateSets) -> Tensor:
    """Ask the value function about the candidates of the strings without a gate, [b, k]."""
    value = torch.zeros_like(sets.log_p)
    index = (~sets.gated).nonzero()[:, 0]
    if len(index) == 0:
        return value
    asked = index.tolist()
    prompts = [list(texts.prompts[i]) for i in asked]  # theirs to change
    completions = [list(texts.completions[i]) for i in asked]
    answer = value_fn(prompts, completions, sets.token[index])
    if answer is None:
        raise TypeError("TransferQ: value_fn must return values [B, k], got None")
    given = torch.as_tensor(answer)
    shape = [len(index), sets.token.shape[1]]
    if list(given.shape) != shape or not bool(given.isfinite().all()):
        raise ValueError(
            f"TransferQ: value_fn must return finite [B, k] = {shape}, got {list(given.shape)} "
            f"with {int((~given.isfinite()).sum())} values that are not finite"
        )
    value[index] = given.detach().to(value)
    return value
