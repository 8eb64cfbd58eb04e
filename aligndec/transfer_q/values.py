"""From rewards of rollouts to values of candidates."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aligndec.generation import feed_known
from aligndec.ops import current_ops
from aligndec.step import score
from aligndec.transfer_q.options import Options
from aligndec.transfer_q.rollouts import Counted
from aligndec.transfer_q.steps import Steps

__all__ = ["estimate", "teacher_forced"]

_steps = Steps(current_ops)


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
        return _steps.value(reward).value
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
        return _steps.value(reward, ratio, mode="snis").value
    log_c = _steps.value(reward, ratio, mode="log_mean_exp").value
    return beta * (log_c if log_first is None else log_c - log_first)


def teacher_forced(
    lm: Counted, logits: Tensor, state: Any, rows: Tensor, paths: Tensor, length: Tensor
) -> Tensor:
    """Score given continuations: log-probabilities float64 [M, W], 0 from `length` on.

    Parameters
    ----------
    lm : Counted
        The model; nothing of the prefix is read again.
    logits, state : Tensor, any
        Where its rows stand; both stay usable.
    rows : Tensor
        int64 [M], row of the state that each continuation follows.
    paths, length : Tensor
        int64 [M, W] tokens, of which `length` >= 1 count.
    """
    at = torch.arange(paths.shape[1], device=paths.device)
    targets = torch.where(at < length[:, None], paths, -1)
    width = int(length.max()) if len(length) else 0
    out = torch.zeros(paths.shape, dtype=torch.float64, device=paths.device)
    if width == 0:
        return out
    out[:, 0] = score(logits[rows], targets[:, 0], strict=False).log_p
    state, t = lm.select(state, rows), 1
    while t < width:
        block, state = feed_known(lm, paths[:, t - 1 : width - 1], state, logits)
        stop = t + block.shape[1]
        out[:, t:stop] = score(block, targets[:, t:stop].contiguous(), strict=False).log_p
        t = stop
    return out
