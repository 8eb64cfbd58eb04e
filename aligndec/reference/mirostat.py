"""Mirostat 2 in eager PyTorch: the threshold that a string carries (Basu et al. 2021), in nats.

A string keeps the tokens with −ln p̂ ≤ μ under the scaled law, the most probable always. μ starts at
2 τ_m and μ −= lr · (−ln p̂(y) − τ_m) with each token y. NaN stands for a string without a token.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["mirostat_next", "mirostat_params"]

_LN_EPSILON, _TAU, _LR = 7, 11, 12


def _on(params: Tensor) -> Tensor:
    return (params[:, 0] != 0.0) & (params[:, _TAU] > 0.0)


def _threshold(params: Tensor, mu: Tensor) -> Tensor:
    return torch.where(mu.isnan(), 2.0 * params[:, _TAU], mu)


def mirostat_params(params: Tensor, mu: Tensor) -> Tensor:
    """Return parameters [B, COLUMNS] with ln ε = −μ: −ln p̂ ≤ μ is p̂ ≥ ε."""
    params = params.expand(len(mu), -1).clone()
    cut = 0.0 - _threshold(params, mu)
    params[:, _LN_EPSILON] = torch.where(_on(params), cut, params[:, _LN_EPSILON])
    return params


def mirostat_next(params: Tensor, mu: Tensor, step: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return μ after a token whose log_p, log_q, log_z, log_kept and kl are `step` [5, B].

    −ln p̂(y) = (log_z − log_kept) − (log_p + b)/τ, also of a token outside of the kept set; b [B]
    is what was added to the logit of the token.
    """
    tau = torch.where(params[:, 0] == 0.0, 1.0, params[:, 0])
    log_p = step[0] if bias is None else step[0] + bias.double()
    surprise = (step[2] - step[3]) - log_p / tau
    moved = _threshold(params, mu) - params[:, _LR] * (surprise - params[:, _TAU])
    return torch.where(_on(params), moved, mu)
