"""Typical sets of corpora: the set, bounds on leaving it, and what it conditions on."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from aligndec.asymptotics import rate_function
from aligndec.tradeoff.checks import law, number, series

__all__ = [
    "TypicalCorrelation",
    "chebyshev_bound",
    "chernoff_bound",
    "typical_correlation",
    "typical_mask",
]

_NARROW = 1e-2
_ROUNDING = 1e-12


class TypicalCorrelation(NamedTuple):
    """Correlation of mean log prior and mean reward among typical corpora.

    `correlation` and the `probability` that a corpus is typical, float64 [...].
    """

    correlation: Tensor
    probability: Tensor


def typical_mask(mean_log_p_plus: Tensor, entropy: float | Tensor, epsilon: float) -> Tensor:
    """Tell which corpora are typical: ``|−mean log p₊ − H| < ε``.

    Parameters
    ----------
    mean_log_p_plus : Tensor
        Floating-point [...]: mean over each corpus of the log-probability of its strings under the
        law that they were drawn from, nats. −inf is never typical.
    entropy : float or Tensor
        H(p₊) in nats; broadcasts.
    epsilon : float
        Half width in nats per string, > 0.

    Returns
    -------
    bool Tensor [...]

    References
    ----------
    arXiv 2406.10203, Eq. 10.
    """
    mean = series("typical_mask", "mean_log_p_plus", mean_log_p_plus, infinite=True)
    entropy = series("typical_mask", "entropy", entropy)
    return (-mean - entropy).abs() < number("typical_mask", "epsilon", epsilon, 0.0)


def chebyshev_bound(var: float | Tensor, n: float | Tensor, eps: float | Tensor) -> Tensor:
    """Bound the probability of an atypical corpus by ``min(1, V / (n ε²))``.

    Parameters
    ----------
    var : float or Tensor
        Varentropy of the law, >= 0, nats squared.
    n : float or Tensor
        Strings per corpus, > 0.
    eps : float or Tensor
        Half width in nats per string, > 0.

    Returns
    -------
    float64 Tensor
        Of the broadcast shape.

    References
    ----------
    arXiv 2406.10203, Eq. 11 and 20.
    """
    var = series("chebyshev_bound", "var", var)
    if bool((var < 0).any()):
        raise ValueError(f"chebyshev_bound: var must be >= 0, got {float(var.min())}")
    n, eps = _size_and_width("chebyshev_bound", n, eps)
    return (var / (n * eps.square())).clamp(max=1.0)


def chernoff_bound(log_p: Tensor, n: float | Tensor, eps: float | Tensor) -> Tensor:
    """Bound the probability of an atypical corpus by its two large deviations.

    ``P(|Ī − H| >= ε) <= exp(−n D₊) + exp(−n D₋)``, where ``D± = sup_{s > 0} [s (ε ± H) −
    ln E exp(± s I)]`` and ``ln E exp(s I) = s H_{1−s}(p)``.

    Parameters
    ----------
    log_p : Tensor
        Floating-point [..., K], finite or −inf; renormalised in float64.
    n : float or Tensor
        Strings per corpus, > 0; broadcasts with [...].
    eps : float or Tensor
        Half width in nats per string, > 0; broadcasts with [...].

    Returns
    -------
    float64 Tensor [...]
        Capped at 1. A side that no string reaches counts 0.

    References
    ----------
    arXiv 2406.10203, Theorem 2, with its free exponents at their optimum.
    """
    log_p = law("chernoff_bound", log_p)
    n, eps = _size_and_width("chernoff_bound", n, eps)
    information = -log_p.nan_to_num(neginf=0.0)
    entropy = (log_p.exp() * information).sum(-1)
    more, less = (_exponent(log_p, information, entropy + e) for e in (eps, -eps))
    return ((-n * more).exp() + (-n * less).exp()).clamp(max=1.0)


def typical_correlation(
    log_p_plus: Tensor, log_prior: Tensor, n: float | Tensor, eps: float | Tensor
) -> TypicalCorrelation:
    """Correlation of mean log prior and mean reward among the typical corpora, in closed form.

    Corpora of n strings drawn from p₊ are taken as Gaussian. The reward is ``β log(p₊/p)`` up to a
    constant; the correlation does not depend on β > 0. As ε → 0 it tends to −1 and the probability
    to 0; as ε → ∞ it tends to the correlation of single strings and the probability to 1. For
    corpora that are not conditioned the size n cancels.

    Parameters
    ----------
    log_p_plus : Tensor
        Floating-point [..., K], finite or −inf: the law of the strings; renormalised in float64.
    log_prior : Tensor
        Floating-point [..., K]: log p of the same strings, up to a constant.
    n : float or Tensor
        Strings per corpus, > 0; broadcasts with [...].
    eps : float or Tensor
        Half width of the typical set in nats per string, > 0; broadcasts with [...].

    Returns
    -------
    TypicalCorrelation
        The correlation is NaN where a variance is 0.
    """
    log_p_plus = law("typical_correlation", log_p_plus)
    prior = series("typical_correlation", "log_prior", log_prior)
    n, eps = _size_and_width("typical_correlation", n, eps)
    weight = log_p_plus.exp()

    def centred(x: Tensor) -> Tensor:
        return x - (weight * x).sum(-1, keepdim=True)

    s, x = centred(log_p_plus.nan_to_num(neginf=0.0)), centred(prior)
    var_s = (weight * s * s).sum(-1)
    slope = (weight * s * x).sum(-1) / var_s
    rest = (weight * (x - slope[..., None] * s).square()).sum(-1)
    z = eps * (n / var_s).sqrt()
    probability = torch.erf(z / math.sqrt(2.0))
    density = (-0.5 * z * z).exp() * math.sqrt(2.0 / math.pi)
    # The variance of a Gaussian cut at ±z; for small z its two terms cancel.
    narrow = z * z / 3 * (1 - 2 * z * z / 15)
    inside = var_s * torch.where(z < _NARROW, narrow, 1 - z * density / probability)
    spread_x = slope.square() * inside + rest
    spread_r = (1 - slope).square() * inside + rest
    both = slope * (1 - slope) * inside - rest
    return TypicalCorrelation(both / (spread_x * spread_r).sqrt(), probability)


def _size_and_width(function: str, n: float | Tensor, eps: float | Tensor) -> tuple[Tensor, Tensor]:
    return series(function, "n", n, low=0.0), series(function, "eps", eps, low=0.0)


def _exponent(log_p: Tensor, information: Tensor, t: Tensor) -> Tensor:
    """Return the rate of a mean information t; inf where no string reaches t."""
    present = log_p > -math.inf
    low = torch.where(present, information, math.inf).amin(-1)
    high = torch.where(present, information, -math.inf).amax(-1)
    # H ± ε and the end of the range may be the same number, rounded differently.
    slack = _ROUNDING * (1 + high)
    outside = (t < low - slack) | (t > high + slack)
    rate = rate_function(log_p, information, torch.maximum(torch.minimum(t, high), low))
    return torch.where(outside, math.inf, rate)
