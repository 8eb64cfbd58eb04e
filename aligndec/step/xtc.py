"""XTC: the coin of a token, and the law of a token whose coin nobody knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aligndec import rng
from aligndec.reference import COIN, coin_bits
from aligndec.shared import plain
from aligndec.step.adaptors import Adaptor
from aligndec.step.packed import as_list
from aligndec.step.types import Step

__all__ = [
    "given_coin",
    "has_xtc",
    "marginal",
    "probabilities",
    "xtc_coin",
]


def xtc_coin(
    adaptor: Adaptor | Sequence[Adaptor],
    *,
    seed: int | Tensor,
    sequence_ids: int | Tensor,
    positions: int | Tensor,
) -> Tensor:
    """Return the coins that `sample` throws for an adaptor with xtc: True drops the top choices.

    Parameters
    ----------
    adaptor : Adaptor or sequence of Adaptors
        One, or one per entry of the broadcast shape's last dimension; without xtc: False.
    seed, sequence_ids, positions : int or Tensor
        Of the tokens, as in `sample`: int or int64, they broadcast.

    Returns
    -------
    Tensor
        bool, of the broadcast shape: r < floor(π · 2^64) for the bits r of (seed, sequence id,
        position) in stream 11. A pure function, whatever was drawn.
    """
    listed = as_list("xtc_coin", adaptor)
    seed, sequence_ids, positions = map(plain, (seed, sequence_ids, positions))
    for name, value in (("seed", seed), ("sequence_ids", sequence_ids), ("positions", positions)):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not whole and not (isinstance(value, Tensor) and value.dtype == torch.int64):
            got = value.dtype if isinstance(value, Tensor) else repr(value)
            raise TypeError(f"xtc_coin: {name} must be an int or an int64 Tensor, got {got}")
    bits = rng.philox(seed, sequence_ids, positions, rng.XTC)[0]
    chance = torch.tensor([a.xtc[1] if a.xtc else 0.0 for a in listed], dtype=torch.float64)
    if len(listed) != 1 and (bits.dim() == 0 or bits.shape[-1] != len(listed)):
        raise ValueError(
            "xtc_coin: adaptor must be one or a sequence as long as the last dimension of "
            f"{list(bits.shape)}, got {len(listed)}"
        )
    return coin_bits(chance.to(bits.device) if len(listed) > 1 else chance[0].to(bits.device), bits)


def has_xtc(adaptor: Any) -> bool:
    """Whether an adaptor, or one of several, has xtc."""
    several = isinstance(adaptor, Sequence)
    return any(getattr(a, "xtc", None) for a in (adaptor if several else (adaptor,)))


def given_coin(function: str, coin: Any, shape: Sequence[int], stateful: bool) -> Tensor | None:
    """Return the coins of given tokens in their shape, or None for "marginal"."""
    if isinstance(coin, Tensor) and coin.dtype == torch.bool:
        try:
            return coin.expand(tuple(shape))
        except RuntimeError:
            pass
    if isinstance(coin, str) and coin == "marginal" and not stateful:
        return None
    what = f"bool {list(shape)}" + ("" if stateful else ' or "marginal"')
    got = f"{coin.dtype} {list(coin.shape)}" if isinstance(coin, Tensor) else repr(coin)
    raise ValueError(
        f"{function}: xtc_coin must be {what} where an adaptor has xtc (xtc_coin(adaptor, seed=…, "
        f"sequence_ids=…, positions=…) gives the coins of sample), got {got}"
    )


def probabilities(params: Tensor, shape: Sequence[int]) -> Tensor:
    """Return π of every result of this shape; 0 without xtc."""
    return params[:, COIN].expand(torch.Size(shape).numel()).reshape(tuple(shape))


def marginal(chance: Tensor, out: Step, dropped: Step) -> Step:
    """Return the step of the mixture (1 − π) q + π q', q and q' the laws without and with the coin.

    `kl` is that of the mixture: on the kept set C' of the coin, of share K = q(C'), the mixture is
    c · q with c = 1 − π + π/K, elsewhere (1 − π) q. `log_z` and `log_kept` do not exist (NaN);
    status 3 where the mixture is 0.

    Parameters
    ----------
    chance : Tensor
        π, float64 [...].
    out, dropped : Step
        The same tokens without the coin and with it.
    """
    log_q = torch.logaddexp((1.0 - chance).log() + out.log_q, chance.log() + dropped.log_q)
    log_share = (dropped.log_kept - out.log_kept).detach()
    share = log_share.exp().clamp(max=1.0)
    factor = 1.0 - chance + chance / share
    inside = share * (dropped.kl + log_share)  # Σ_C' q ln(q/p)
    rest = torch.where(chance < 1.0, (1.0 - chance) * (1.0 - chance).clamp(min=1e-300).log(), 0.0)
    kl = factor * (share * factor.log() + inside)
    kl = kl + rest * (1.0 - share) + (1.0 - chance) * (out.kl - inside)
    scored = (out.status == 0) | (out.status == 3)
    status = torch.where((out.status == 3) & (dropped.status == 3), 3, out.status)
    status = torch.where(scored, torch.where(log_q == -torch.inf, 3, 0), status)
    gone = torch.where(scored, torch.nan, out.log_z)
    return out._replace(
        log_q=torch.where(scored, log_q, out.log_q),
        log_z=gone,
        log_kept=torch.where(scored, torch.nan, out.log_kept),
        kl=torch.where(scored, kl.clamp(min=0.0), out.kl),
        status=status,
    )
