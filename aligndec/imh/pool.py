"""Samples from stored pools of strings: by chains over the pool, and at once by weight."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from aligndec import rng
from aligndec.imh.checks import log_weights, names, pool_values, some_weight, with_uniforms
from aligndec.ops import current_ops
from aligndec.reference import exact
from aligndec.shared import at_least, plain_arguments, whole

__all__ = ["Resampled", "resample", "sir"]


class Resampled(NamedTuple):
    """What chains over pools saw.

    `mean` float64 [..., n_chains, S] of the values over the states, `acceptance_rate` float64
    [..., n_chains] over all n_steps decisions.
    """

    mean: Tensor
    acceptance_rate: Tensor


@plain_arguments
def resample(
    log_weight: Tensor,
    values: Tensor,
    *,
    n_chains: int,
    n_steps: int,
    burn_in: int = 0,
    seed: int = 0,
) -> Resampled:
    """Run many chains whose proposals are uniform draws, with replacement, from a stored pool.

    The start is a draw from the pool; then come `n_steps` proposals. In the long run the states
    follow the pool's self-normalised law w / Σ w, which `sir` draws from without any chain: this
    function is for what chains of a given length do. Memory does not grow with `n_steps`.

    Parameters
    ----------
    log_weight : Tensor
        Floating-point [..., N], finite or −inf, some entry of each pool finite.
    values : Tensor
        Floating-point [..., N, S] without NaN: S numbers of every entry. Leading dimensions
        broadcast with those of `log_weight`.
    n_chains, n_steps : int
        Chains per pool and their steps, 1 <= n_steps < 2^32.
    burn_in : int
        The mean is over the states after the steps burn_in + 1 … n_steps.
    seed : int
        Run seed mod 2^64. Chain c of pool p (row-major) has sequence id p · n_chains + c.

    Returns
    -------
    Resampled
        The decisions are the same for any number of threads, instruction set, backend and device.

    Raises
    ------
    ValueError, TypeError
        NaN anywhere (the message says where), a pool of −inf only, burn_in >= n_steps.

    References
    ----------
    arXiv 2406.10203, Section 5: corpora resampled from stored strings.
    """
    where = "imh.resample"
    weight, values = pool_values(where, log_weights(where, log_weight), values)
    some_weight(where, weight)
    key = rng.signed64(whole(where, "seed", seed))
    at_least(where, 0, n_chains=n_chains, burn_in=burn_in)
    if not burn_in < whole(where, "n_steps", n_steps) < 2**32:
        raise ValueError(f"{where}: n_steps must be in (burn_in, 2^32), got {n_steps}")
    leading, (size, columns) = weight.shape[:-1], values.shape[-2:]
    pools = leading.numel()
    flat = weight.reshape(pools, size).contiguous()
    rows = values.reshape(pools, size, columns).contiguous()
    mean, accepted = current_ops().imh_resample(flat, rows, n_chains, n_steps, burn_in, key)
    rate = accepted.double().reshape(*leading, n_chains) / n_steps
    return Resampled(mean.reshape(*leading, n_chains, columns), rate)


@plain_arguments
def sir(
    log_weight: Tensor,
    n: int,
    *,
    seed: int = 0,
    uniforms: Tensor | None = None,
    sequence_ids: Tensor | None = None,
) -> Tensor:
    """Draw from pools by weight, with replacement (sampling, importance resampling).

    Parameters
    ----------
    log_weight : Tensor
        Floating-point [..., N], finite or −inf, some entry of each pool finite.
    n : int
        Draws per pool, >= 0.
    seed : int
        Run seed mod 2^64; draw j of a pool takes position j.
    uniforms : Tensor, optional
        float64 [..., n] in [0, 1) instead of the random bits.
    sequence_ids : Tensor, optional
        int64 [...]: names of the pools in the random-number scheme; default 0, 1, … in row-major
        order.

    Returns
    -------
    Tensor
        int64 [..., n]: independent draws, entry i with probability w_i / Σ w (to 2 N · 2^-61), the
        same on every device. As draws from the target they are as good as the pool: look at `ess`
        of its `diagnostics`.

    Raises
    ------
    ValueError, TypeError
        NaN or +inf among the weights (the message says where), a pool of −inf only.

    References
    ----------
    Rubin 1988.
    """
    weight = log_weights("imh.sir", log_weight)
    some_weight("imh.sir", weight)
    at_least("imh.sir", 0, n=n)
    key = rng.signed64(whole("imh.sir", "seed", seed))
    leading, size = weight.shape[:-1], weight.shape[-1]
    ids = names("imh.sir", sequence_ids, leading, weight.device).reshape(*leading, 1)
    if uniforms is None:
        bits = rng.philox(key, ids, torch.arange(n, device=weight.device), rng.SIR)[0]
    else:
        shaped = weight[..., :1].expand(*leading, n)
        bits = rng.bits_from_uniform(with_uniforms("imh.sir", shaped, uniforms, "n")[1])
    # Integers add up to the same sums in any order; the largest total is 2^62.
    shift = 2.0 ** (62 - size.bit_length())
    relative = weight - weight.amax(-1, keepdim=True)
    mass = (exact.exp64(relative) * shift).round().long().cumsum(-1)
    return torch.searchsorted(mass, rng.multiply_high(bits, mass[..., -1:]), right=True)
