"""The coin of XTC as the ops see it: random bits against a chance, a column of the parameters."""

from __future__ import annotations

import torch
from torch import Tensor

from aligndec import rng

__all__ = ["COIN", "coin_bits", "with_coin"]

COIN = 20
"""Column of the parameters with the chance of the coin; 1 always, 0 never."""


def coin_bits(chance: Tensor, bits: Tensor) -> Tensor:
    """Return r < floor(π · 2^64) as bool, for float64 π in [0, 1] and int64 bits r."""
    smallest = -(2**63)
    limit = rng.bits_from_uniform(torch.where(chance < 1.0, chance, 0.0))
    return (chance >= 1.0) | ((bits ^ smallest) < (limit ^ smallest))


def with_coin(params: Tensor, coin: Tensor | None) -> Tensor:
    """Return parameters [N, COLUMNS] with these coins, bool [N]; None: as if none came up."""
    rows = params if coin is None else params.expand(len(coin), -1)
    rows = rows.clone()
    rows[:, COIN] = 0.0 if coin is None else coin.to(rows)
    return rows
