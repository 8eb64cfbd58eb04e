"""Small differences of exponentials without cancellation, and the divergence built from them.

KL(q‖p) = Σ q ln(q/p) has terms of both signs that cancel when q is near p: at KL = 10⁻⁹ the plain
sum keeps seven digits. With x = ln(q/p) and Σ q = Σ p it equals Σ p h(x), h(x) = x eˣ − eˣ + 1 ≥ 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["excess", "kl_divergence", "kl_terms", "log1mexp", "log_div", "softplus"]

# Below this |x| the series are exact to the last bits and the closed forms are not.
_SMALL = 0.05


def excess(x: Tensor) -> Tensor:
    """Return eˣ − 1 − x >= 0 to relative precision."""
    small = x.abs() < _SMALL
    s = torch.where(small, x, 0.0)
    series = s * s * (1 / 2 + s * (1 / 6 + s * (1 / 24 + s * (1 / 120 + s * (1 / 720 + s / 5040)))))
    return torch.where(small, series, torch.expm1(x) - x)


def kl_terms(log_p: Tensor, x: Tensor) -> Tensor:
    """Return p h(x) = q x − q + p for q = p eˣ, every term >= 0.

    Parameters
    ----------
    log_p : Tensor
        ln p, −inf allowed.
    x : Tensor
        ln(q/p); −inf where q = 0. Its value where p = 0 does not matter, unless it is +inf.

    Returns
    -------
    Tensor
        Of the broadcast shape; 0 where p = q = 0, p where q = 0, +inf where x = +inf.
    """
    absent = log_p == -torch.inf
    x = torch.where(absent & (x < torch.inf), 0.0, x)
    base = torch.where(absent, -torch.inf, log_p).exp()
    small = x.abs() < _SMALL
    s = torch.where(small, x, 0.0)
    tail = 1 / 30 + s * (1 / 144 + s * (1 / 840 + s * (1 / 5760 + s / 45360)))
    series = base * s * s * (1 / 2 + s * (1 / 3 + s * (1 / 8 + s * tail)))
    # p may have underflowed where q has not: q comes from its logarithm.
    usable = ~small & (x > -torch.inf) & (x < torch.inf)
    y = torch.where(usable, x, 1.0)
    q = torch.where(usable, log_p + y, -torch.inf).exp()
    out = torch.where(small, series, q * (y - 1) + base)
    return torch.where(x == torch.inf, torch.inf, out)


def log_div(log_q: Tensor, log_p: Tensor) -> Tensor:
    """Return ln(q/p) with 0/0 = 1."""
    both = (log_q == -torch.inf) & (log_p == -torch.inf)
    return torch.where(both, 0.0, log_q - torch.where(both, 0.0, log_p))


def kl_divergence(log_q: Tensor, log_p: Tensor) -> Tensor:
    """Return KL(q‖p) of normalised log-laws [..., V], relative to rounding of the logs only."""
    return kl_terms(log_p, log_div(log_q, log_p)).sum(-1)


def log1mexp(x: Tensor) -> Tensor:
    """Return ln(1 − eˣ) for x <= 0; −inf at 0."""
    near = x > -0.6931471805599453
    y = torch.where(near, x, -1.0)
    z = torch.where(near, -1.0, x)
    return torch.where(near, (-torch.expm1(y)).log(), torch.log1p(-z.exp()))


def softplus(x: Tensor) -> Tensor:
    """Return ln(1 + eˣ) to relative precision, also far below 0; x at +inf, 0 at −inf."""
    return x.clamp(min=0.0) + torch.log1p((-x.abs()).exp())
