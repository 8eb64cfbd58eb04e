"""The policy-gradient loss of a run: PPO's clip or truncated importance weights, by replay."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from aligndec.generation import Generation
from aligndec.rl.ratio import clip_range, importance_ratio
from aligndec.rl.replay import replay

__all__ = ["policy_gradient_loss"]


def policy_gradient_loss(
    model: Any,
    generation: Generation,
    advantages: Tensor,
    *,
    clip: float | tuple[float, float] | None = 0.2,
    level: Literal["token", "sequence"] = "token",
    kept: bool = True,
    normalise: Literal["tokens", "strings"] = "tokens",
    tis: float | None = None,
    batch_size: int | None = None,
) -> Tensor:
    """Return a scalar to minimise whose gradient is minus that of the expected advantage.

    With q_old the law that drew the strings (the run's own books) and q_θ the policy's, replayed
    on the same kept sets at the same temperature, and ρ = q_θ / q_old of a token (level "token")
    or of a whole string (level "sequence", the product over its tokens):

        L = −mean min(ρ A, clip(ρ, 1 − ε, 1 + ε) A)        (PPO, Schulman et al. 2017, eq. 7;
                                                            GRPO, Shao et al. 2024, eq. 3)
        L = −mean min(ρ, c)° A · ρ / ρ°                    (tis = c; x° has no gradient)

    At θ = θ_old and level "sequence" the gradient of L is an unbiased estimate of −∇E_q[A]:
    E[A ∇log q_θ(y)] with ∇log q_θ = ∇log p_τ(y) − ∇log S(C). Scored over the full vocabulary
    (`kept=False`) it is E[S A ∇log p_τ(y)]: the weight S and the missing −∇log S are the bias.

    Parameters
    ----------
    model : transformers.PreTrainedModel or StepLM
        The policy in training. Logits exist for a chunk of tokens at a time.
    generation : Generation
        Drawn with `keep_sets=True`; with `per_token=True` for level "token".
    advantages : float [N]
        One per string, finite; without gradients. Units are the reward's.
    clip : float, (low, high) or None
        ε, or the range of ρ itself. None: no clip. Not used where `tis` is given.
    level : "token" or "sequence"
        What ρ is taken of.
    kept : bool
        False: q_θ over the full vocabulary, for comparison. Biased where the run cut.
    normalise : "tokens" or "strings"
        At level "token" the mean over all tokens (DAPO, Yu et al. 2025), or over strings of the
        mean over their tokens (GRPO). At level "sequence", where a string is one item, both are
        the mean over strings.
    tis : float, optional
        c > 0: truncated importance sampling (Ionides 2008; Yao et al. 2025) in place of the clip:
        every token keeps its gradient, with weight min(ρ, c).
    batch_size : int, optional
        Strings read together at most.

    Returns
    -------
    Tensor
        float64 scalar with gradients into the model's parameters. Statistics of the ratio:
        `importance_ratio(replay(model, generation), generation)`.

    Raises
    ------
    ValueError
        For a run without the sets, or without the books per token that `level` needs.
    """
    name = "policy_gradient_loss"
    if level not in ("token", "sequence"):
        raise ValueError(f'{name}: level must be "token" or "sequence", got {level!r}')
    if normalise not in ("tokens", "strings"):
        raise ValueError(f'{name}: normalise must be "tokens" or "strings", got {normalise!r}')
    low, high = (0.0, torch.inf) if clip is None else clip_range(name, clip)
    if tis is not None and not tis > 0:
        raise ValueError(f"{name}: tis must be > 0, got {tis!r}")
    if level == "token" and generation.token_log_q is None:
        raise ValueError(
            f'{name}: generation must have books per token at level "token", got none (draw with '
            'generate(per_token=True), or level="sequence")'
        )
    advantage = _advantages(name, advantages, len(generation))
    new = replay(model, generation, kept=kept, batch_size=batch_size)
    if level == "sequence":
        new.token_log_q = None
    ratio = importance_ratio(new, generation).ratio
    advantage = advantage.to(ratio.device)
    if level == "token":
        advantage = advantage[:, None]
    if tis is not None:
        # ρ / ρ° is 1 with the gradient of log q; a token outside of the set (ρ = 0) has none.
        held = ratio.detach()
        score = torch.where(held > 0, ratio / torch.where(held > 0, held, 1.0), 0.0)
        gain = held.clamp(max=tis) * score * advantage
    else:
        gain = torch.minimum(ratio * advantage, ratio.clamp(low, high) * advantage)
    return -(gain * _weights(generation, level, normalise).to(gain.device)).sum()


def _advantages(name: str, advantages: Any, n: int) -> Tensor:
    out = torch.as_tensor(advantages, dtype=torch.float64).detach()
    if out.shape != (n,):
        raise ValueError(f"{name}: advantages must be [N] = [{n}], got {list(out.shape)}")
    if not bool(out.isfinite().all()):
        at = int((~out.isfinite()).nonzero()[0])
        raise ValueError(f"{name}: advantages must be finite, got {float(out[at])} at {at}")
    return out


def _weights(generation: Generation, level: str, normalise: str) -> Tensor:
    """Weights of the items, which add up to 1: [N] or [N, T], 0 after the end."""
    length = generation.length.double()
    if level == "sequence":
        return torch.full_like(length, 1.0 / len(length))
    columns = torch.arange(generation.tokens.shape[1], device=length.device)
    counted = (columns < length[:, None]).double()
    if normalise == "tokens":
        return counted / length.sum()
    return counted / (length.clamp(min=1) * len(length))[:, None]
