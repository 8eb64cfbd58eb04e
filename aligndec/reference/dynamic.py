"""Dynamic temperature in eager PyTorch: each row's τ from the entropy of its base law."""

from __future__ import annotations

import torch
from torch import Tensor

from aligndec.reference import exact
from aligndec.reference.weights import Law, Rows, log_mass, real

__all__ = ["has_slope", "temper", "temperature_slope"]

LOW, HIGH, EXPONENT = 16, 17, 18
"""Columns of the parameters; an exponent of 0 is off."""


def temper(params: Tensor, rows: Rows, base: Law) -> Tensor:
    """Return parameters [R, COLUMNS] in which τ and 1/τ are those of each row.

    τ = low + (high − low)(H / ln n)^exponent, H and n of the existing tokens at τ = 1; n = 1: low.
    """
    if not has_slope(params):
        return params
    on = params[:, EXPONENT] > 0.0
    mass, surprise = (v[:, 0] for v in base.sums(rows.exists))
    entropy = (log_mass(mass) + real(surprise) / real(mass)).clamp(min=0.0)
    share = (entropy / exact.log(rows.exists.sum(1).double())).clamp(max=1.0)
    power = exact.exp64((params[:, EXPONENT] * exact.log(share)).clamp(min=-1e4))
    low, high = params[:, LOW], params[:, HIGH]
    tau = torch.where(entropy > 0.0, low + (high - low) * power, low)
    inverse = 1.0 / tau
    first = inverse.float().double()
    own = torch.stack([tau, first, (inverse - first).float().double()], 1)
    return torch.cat([torch.where(on[:, None], own, params[:, :3]), params[:, 3:]], 1)


def has_slope(params: Tensor) -> bool:
    """Whether the temperature of any row follows from its entropy."""
    return bool((params[:, EXPONENT] > 0.0).any())


def temperature_slope(params: Tensor, tau: Tensor, entropy: Tensor) -> Tensor:
    """Return dτ/dH = exponent (τ − low)/H of each row, [R, 1]; 0 where τ is given or H is 0."""
    exponent, low = params[:, EXPONENT : EXPONENT + 1], params[:, LOW : LOW + 1]
    moves = (exponent > 0.0) & (entropy > 0.0)
    return torch.where(moves, exponent * (tau - low) / torch.where(moves, entropy, 1.0), 0.0)
