"""Selection from pools of scored samples: one index per pool, reproducible by seed.

Pools of different sizes become one tensor when the short ones are filled up with −inf at the end:
every selector with a beta > 0, or without one, then returns what it returns for each pool as it is.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from aligndec import rng
from aligndec.shared import numbers, plain_arguments, tensor_of, whole

__all__ = ["poisson_select", "rejection_select", "select", "soft_select"]


@plain_arguments
def select(rewards: Tensor, *, n: int | None = None, seed: int = 0) -> Tensor:
    """Return the index of the best of each pool.

    Parameters
    ----------
    rewards : Tensor
        Floating-point [..., M], −inf allowed: also what fills up a shorter pool.
    n : int, optional
        Only the first n of each pool, in [1, M]; default all.
    seed : int
        Decides ties, which are broken uniformly at random; pool = flat leading index.

    Returns
    -------
    Tensor
        int64 [...].
    """
    name = "best_of_n.select"
    pool = _pool(name, rewards, n)
    key = rng.signed64(whole(name, "seed", seed))
    return _best(pool, torch.full_like(pool[..., :1], pool.shape[-1]), _bits(pool, key)[0])


@plain_arguments
def soft_select(
    rewards: Tensor, beta: float | Tensor, *, n: int | None = None, seed: int = 0
) -> Tensor:
    """Return an index drawn with probability ∝ exp(beta r): soft best-of-n.

    Parameters
    ----------
    rewards : Tensor
        Floating-point [..., M]; −inf has probability 0 (beta > 0).
    beta : float or Tensor
        [...], finite, multiplies the reward; inf is `select`.
    n, seed
        As in `select`.

    Returns
    -------
    Tensor
        int64 [...]. The law tends to the tilt φ_β as n grows, and to best-of-n as beta does.

    References
    ----------
    Verdun et al. 2025, soft best-of-n.
    """
    name = "best_of_n.soft_select"
    pool = _pool(name, rewards, n)
    slope = numbers(name, "beta", beta, pool.device)
    if not bool(slope.isfinite().all()):
        raise ValueError(f"{name}: beta must be finite, got {slope.abs().max().item()}")
    slope = _fits(name, "beta", slope, pool)[..., None]
    score = torch.where(slope == 0, 0.0, slope * pool)
    top = score.amax(-1, keepdim=True)
    if bool((score.isnan() | (score == torch.inf)).any()) or bool((top == -torch.inf).any()):
        raise ValueError(
            f"{name}: rewards must be such that beta * r < inf, and > -inf for some of every pool"
        )
    weight = (score - top).exp().cumsum(-1)
    key = rng.signed64(whole(name, "seed", seed))
    u = rng.uniform(_bits(pool, key)[0])[..., None] * weight[..., -1:]
    # The first one whose cumulative weight exceeds u; never one of weight 0.
    return (weight <= u).sum(-1).clamp(max=pool.shape[-1] - 1)


@plain_arguments
def poisson_select(rewards: Tensor, mu: float | Tensor, *, seed: int = 0) -> Tensor:
    """Return the index of the best of the first min(1 + Poisson(mu), M): best-of-Poisson.

    Parameters
    ----------
    rewards : Tensor
        Floating-point [..., M]; M well above 1 + mu, or the cap shows.
    mu : float or Tensor
        [...], >= 0.
    seed : int
        As in `select`.

    Returns
    -------
    Tensor
        int64 [...].

    References
    ----------
    Khalaf et al. 2025, "Inference-time reward hacking in large language models".
    """
    name = "best_of_n.poisson_select"
    pool = _pool(name, rewards, None)
    rate = numbers(name, "mu", mu, pool.device)
    if not bool(((rate >= 0) & (rate < torch.inf)).all()):
        raise ValueError(f"{name}: mu must be >= 0 and finite, got {rate.min().item()}")
    rate = _fits(name, "mu", rate, pool)[..., None]
    tie, draw = _bits(pool, rng.signed64(whole(name, "seed", seed)))
    # P(Poisson <= k) for k = 0 … M − 2: the count is the number of those that u passes.
    k = torch.arange(1, pool.shape[-1], device=pool.device, dtype=torch.float64)
    below = torch.special.gammaincc(
        k.expand(*rate.shape[:-1], -1), rate.expand(*rate.shape[:-1], len(k))
    )
    count = 1 + (rng.uniform(draw)[..., None] >= below).sum(-1, keepdim=True)
    return _best(pool, count, tie)


@plain_arguments
def rejection_select(
    rewards: Tensor, beta: float | Tensor, bound: float | Tensor, *, seed: int = 0
) -> Tensor:
    """Return the first sample, in pool order, that rejection sampling of the tilt accepts.

    Parameters
    ----------
    rewards : Tensor
        Floating-point [..., M], at most `bound`.
    beta : float or Tensor
        [...], >= 0, multiplies the reward.
    bound : float or Tensor
        [...], an upper bound of the reward of every outcome.
    seed : int
        Sample i of pool s is accepted iff u(s, i) < exp(beta (r_i − bound)).

    Returns
    -------
    Tensor
        int64 [...], −1 when none is accepted; exact draws of φ_β otherwise.
    """
    name = "best_of_n.rejection_select"
    pool = _pool(name, rewards, None)
    slope, top = (numbers(name, n, v, pool.device) for n, v in (("beta", beta), ("bound", bound)))
    if not bool(((slope >= 0) & (slope < torch.inf)).all()):
        raise ValueError(f"{name}: beta must be >= 0 and finite, got {slope.min().item()}")
    slope, top = (_fits(name, n, v, pool)[..., None] for n, v in (("beta", slope), ("bound", top)))
    if not bool(top.isfinite().all()):
        raise ValueError(f"{name}: bound must be finite, got {top.abs().max().item()}")
    if bool((pool > top).any()):
        at = (pool > top).nonzero()[0].tolist()
        raise ValueError(f"{name}: rewards must be <= bound, got {pool[tuple(at)].item()} at {at}")
    chance = torch.where(slope == 0, 0.0, slope * (pool - top)).exp()
    sequence = torch.arange(pool[..., 0].numel(), device=pool.device).reshape(*pool.shape[:-1], 1)
    position = torch.arange(pool.shape[-1], device=pool.device)
    key = rng.signed64(whole(name, "seed", seed))
    u = rng.uniform(rng.philox(key, sequence, position, rng.REJECTION)[0])
    accepted = u < chance
    return torch.where(accepted.any(-1), accepted.int().argmax(-1), -1)


def _pool(name: str, rewards: Any, n: int | None) -> Tensor:
    pool = tensor_of(name, "rewards", rewards).detach().double()
    if n is None:
        return pool
    if not 1 <= whole(name, "n", n) <= pool.shape[-1]:
        raise ValueError(f"{name}: n must be in [1, M = {pool.shape[-1]}], got {n}")
    return pool[..., :n]


def _fits(name: str, argument: str, value: Tensor, pool: Tensor) -> Tensor:
    try:
        return value.expand(pool.shape[:-1])
    except RuntimeError:
        raise ValueError(
            f"{name}: {argument} must broadcast to {list(pool.shape[:-1])}, got {list(value.shape)}"
        ) from None


def _bits(pool: Tensor, key: int) -> tuple[Tensor, Tensor]:
    """128 bits per pool: position 0 of the stream of choices."""
    sequence = torch.arange(pool[..., 0].numel(), device=pool.device)
    bits = rng.philox(key, sequence.reshape(pool.shape[:-1]), 0, rng.RESCORE)
    return bits[0], bits[1]


def _best(pool: Tensor, count: Tensor, bits: Tensor) -> Tensor:
    """Uniformly one of the best among the first `count` [..., 1]."""
    inside = torch.arange(pool.shape[-1], device=pool.device) < count
    top = torch.where(inside, pool, -torch.inf).amax(-1, keepdim=True)
    tied = inside & (pool == top)
    rank = tied.cumsum(-1)
    wanted = (rng.uniform(bits) * rank[..., -1]).long() + 1
    return (tied & (rank == wanted[..., None])).int().argmax(-1)
