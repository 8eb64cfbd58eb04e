"""The tilted law of a Markov chain with rewards on its edges (Perron–Frobenius)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from aligndec.reference import kl_divergence
from aligndec.shared import numbers, tensor_of

__all__ = ["MarkovTilt", "markov_tilt"]

# 2^60 steps of the lazy chain: enough for every spectral gap that float64 can tell from 0.
_DOUBLINGS = 60


class MarkovTilt(NamedTuple):
    """Long-run optimal aligned chain; numbers are float64 scalars, per step.

    `log_rho` ln of the Perron root, the Λ(β) of the chain; `log_transition` [S, S] of the aligned
    kernel; `stationary` [S] its law; `reward_rate` = Λ'(β) and `kl_rate` = βΛ'(β) − Λ(β), nats.
    """

    log_rho: Tensor
    log_transition: Tensor
    stationary: Tensor
    reward_rate: Tensor
    kl_rate: Tensor


def markov_tilt(log_transition: Tensor, r: Tensor, beta: float | Tensor) -> MarkovTilt:
    """Return the Markov chain of largest reward rate for its KL rate.

    Parameters
    ----------
    log_transition : Tensor
        Floating-point [S, S], ln P(x, y) up to a constant per row, −inf allowed.
    r : Tensor
        Floating-point [S, S], rewards of the edges, finite where P > 0.
    beta : float
        Finite, multiplies the reward.

    Returns
    -------
    MarkovTilt

    Raises
    ------
    ValueError
        The chain is not irreducible: the long run would depend on the start.

    Notes
    -----
    A(x, y) = P(x, y) e^{β r(x, y)} has the Perron root ρ and the right vector h; the aligned kernel
    is A(x, y) h(y)/(ρ h(x)). ρ and h come from repeated squaring of I + A/max in log space, where
    every term is positive, so small entries keep their digits.
    """
    name = "asymptotics.markov_tilt"
    log_p, r = tensor_of(name, "log_transition", log_transition), tensor_of(name, "r", r)
    if log_p.dim() != 2 or log_p.shape[0] != log_p.shape[1] or r.shape != log_p.shape:
        raise ValueError(
            f"{name}: log_transition and r must be [S, S], got {list(log_p.shape)} and "
            f"{list(r.shape)}"
        )
    slope = numbers(name, "beta", beta, r.device)
    if slope.numel() != 1 or not bool(slope.isfinite().all()):
        raise ValueError(f"{name}: beta must be one finite number, got {beta}")
    log_p, r = log_p.detach().double(), r.detach().double()
    if not bool((log_p.amax(-1).abs() < torch.inf).all()):
        raise ValueError(f"{name}: log_transition must be finite somewhere in every row")
    log_p = log_p.log_softmax(-1)
    edge = log_p > -torch.inf
    if bool((edge & r.isinf()).any()):
        raise ValueError(f"{name}: r must be finite where the transition is possible, got inf")
    r = torch.where(edge, r, 0.0)
    log_a = log_p + slope.reshape(()) * r
    power = log_a - log_a.amax()
    # Lazy, so that a periodic chain converges too; the vectors are the same.
    power = torch.logaddexp(power, torch.eye(len(r), dtype=r.dtype, device=r.device).log())
    for _ in range(_DOUBLINGS):
        square = _matmul(power, power)
        square = square - square.amax()
        settled = (square - power).abs().nan_to_num(0.0).amax() <= 1e-15
        power = square
        if bool(settled & (power > -torch.inf).all()):
            break
    if not bool((power > -torch.inf).all()):
        raise ValueError(
            f"{name}: log_transition must be irreducible, got a state that another cannot reach"
        )
    log_h = power[:, 0] - power[0, 0]
    log_rho = ((log_a + log_h).logsumexp(-1) - log_h)[0]
    log_q = (log_a + log_h - log_h[:, None] - log_rho).log_softmax(-1)
    stationary = (power[0] + log_h).softmax(0)
    weight = stationary[:, None] * log_q.exp()
    kl_rate = (stationary * kl_divergence(log_q, log_p)).sum()
    return MarkovTilt(log_rho, log_q, stationary, (weight * r).sum(), kl_rate)


def _matmul(a: Tensor, b: Tensor) -> Tensor:
    """ln(e^a e^b), a row of the result at a time: [S, S] of memory."""
    return torch.stack([(row[:, None] + b).logsumexp(0) for row in a])
