"""Entropies of laws given by their logarithms."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from aligndec.tradeoff.checks import law, number

__all__ = ["renyi_entropy", "varentropy"]

_NEAR_ONE = 1e-3


def renyi_entropy(log_p: Tensor, alpha: float) -> Tensor:
    """Rényi entropy ``ln(Σ p^α) / (1 − α)`` of laws given by their logarithms.

    Parameters
    ----------
    log_p : Tensor
        Floating-point [..., K], finite or −inf; renormalised in float64.
    alpha : float
        Order, >= 0. The limits are exact: 0 counts the support, 1 is Shannon's entropy, inf is
        −ln max p.

    Returns
    -------
    float64 Tensor [...]
        Nats; does not increase with `alpha`.

    References
    ----------
    Rényi 1961; arXiv 2406.10203, Def. 2.
    """
    log_p = law("renyi_entropy", log_p)
    alpha = number("renyi_entropy", "alpha", alpha, 0.0, strict=False)
    if alpha == math.inf:
        return -log_p.amax(-1)
    if alpha == 0.0:
        return (log_p > -math.inf).sum(-1).double().log()
    s = alpha - 1.0
    if abs(s) >= _NEAR_ONE:
        return -(alpha * log_p).logsumexp(-1) / s
    p, finite = log_p.exp(), log_p.nan_to_num(neginf=0.0)
    if s == 0.0:
        return -(p * finite).sum(-1)
    # Σ p^α is 1 + O(s) here: only its distance from 1 carries digits.
    return -(p * torch.expm1(s * finite)).sum(-1).log1p() / s


def varentropy(log_p: Tensor) -> Tensor:
    """Variance of the information ``−ln p(Y)``, ``Y ~ p``.

    Parameters
    ----------
    log_p : Tensor
        Floating-point [..., K], finite or −inf; renormalised in float64.

    Returns
    -------
    float64 Tensor [...]
        Nats squared.
    """
    log_p = law("varentropy", log_p)
    p, finite = log_p.exp(), log_p.nan_to_num(neginf=0.0)
    mean = (p * finite).sum(-1, keepdim=True)
    return (p * (finite - mean).square()).sum(-1)
