"""The tail of importance weights: the shape of a generalised Pareto law fitted to the largest."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["pareto_k"]


def pareto_k(log_weight: Tensor) -> Tensor:
    """Return the shape k of the tail of weights [..., N], float64 [...].

    The min(N/5, 3 √N) largest weights less the next one, fitted by Zhang and Stephens' estimator
    (2009) with the weak prior of Vehtari et al. (2024, Pareto smoothed importance sampling). The
    weights have 1/k moments: above 0.7 a mean of them needs absurdly many samples. NaN when the
    tail has fewer than five entries, or no spread.
    """
    n = log_weight.shape[-1]
    size = int(min(n / 5, 3 * math.sqrt(n)))
    if size < 5:
        return log_weight.new_full(log_weight.shape[:-1], torch.nan)
    largest = log_weight.topk(size + 1, -1).values
    weight = (largest - largest[..., :1]).exp()
    x = (weight[..., :-1] - weight[..., -1:]).flip(-1)  # ascending
    grid = 30 + math.isqrt(size)
    j = torch.arange(1, grid + 1, dtype=torch.float64, device=x.device)
    quartile = x[..., int(size / 4 + 0.5) - 1, None]
    theta = 1 / x[..., -1:] + (1 - (grid / (j - 0.5)).sqrt()) / (3 * quartile)
    shape = torch.log1p(-theta[..., None] * x[..., None, :]).mean(-1)
    likelihood = size * ((-theta / shape).log() - shape - 1)
    posterior = likelihood.softmax(-1)
    posterior = torch.where(posterior >= 10 * torch.finfo(torch.float64).eps, posterior, 0.0)
    mean = (theta * posterior).sum(-1, keepdim=True) / posterior.sum(-1, keepdim=True)
    k = torch.log1p(-mean * x).mean(-1)
    return (size * k + 10 * 0.5) / (size + 10)
