"""The specification of independence Metropolis–Hastings over log-weights, in eager PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor

from aligndec import rng
from aligndec.reference import exact

__all__ = ["imh_chain", "imh_resample"]

_BLOCK = 64  # steps whose random numbers are drawn together


def imh_chain(
    log_weight: Tensor, seed: int, sequence_ids: Tensor | None, uniforms: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Run C chains: proposal n replaces the state iff ln u_n < ln w_n - ln w_state.

    Parameters
    ----------
    log_weight : Tensor
        float64 [C, N], N >= 1, finite or -inf; entry 0 is the start.
    seed : int
        Signed 64-bit view of the run seed.
    sequence_ids : Tensor or None
        int64 [C], names of the chains in the random-number scheme; None: 0 .. C - 1.
    uniforms : Tensor or None
        float64 [C, N] in [0, 1): u_n as it is (entry 0 unused). None: Philox, position n.

    Returns
    -------
    index : Tensor
        int64 [C, N], the proposal that is the state after step n.
    accepted : Tensor
        bool [C, N]; entry 0 is True.
    count : Tensor
        int64 [C], how many of them are True.
    """
    chains, steps = log_weight.shape
    device = log_weight.device
    if steps < 1:
        raise ValueError(f"imh_chain: log_weight must be [C, N >= 1], got {[chains, steps]}")
    step = torch.arange(steps, device=device)
    if uniforms is None:
        if sequence_ids is None:
            sequence_ids = torch.arange(chains, device=device)
        uniforms = rng.uniform(rng.philox(seed, sequence_ids[:, None], step, rng.CHAIN)[0])
    # Time first: the loop reads and writes whole rows.
    log_u, proposals = exact.log(uniforms).t().contiguous(), log_weight.t().contiguous()
    state = proposals[0]
    accepted = torch.ones(steps, chains, dtype=torch.bool, device=device)
    for n in range(1, steps):
        # -inf: a finite proposal minus -inf is +inf; -inf minus anything is -inf or NaN.
        take = log_u[n] < proposals[n] - state
        accepted[n] = take
        state = torch.where(take, proposals[n], state)
    accepted = accepted.t().contiguous()
    return torch.where(accepted, step, 0).cummax(1).values, accepted, accepted.sum(1)


def imh_resample(
    log_weight: Tensor, values: Tensor, n_chains: int, n_steps: int, burn_in: int, seed: int
) -> tuple[Tensor, Tensor]:
    """Run chains over P pools: the start and every proposal are uniform draws from the pool.

    Parameters
    ----------
    log_weight : Tensor
        float64 [P, N], 1 <= N < 2^31, finite or -inf.
    values : Tensor
        float64 [P, N, S].
    n_chains : int
        C chains per pool; chain c of pool p has sequence id p * C + c.
    n_steps, burn_in : int
        0 <= burn_in < n_steps < 2^32. At step n (0: the start) `r` of the block at position n
        decides and ``floor(r2 N / 2^64)`` is the proposal.
    seed : int
        Signed 64-bit view of the run seed.

    Returns
    -------
    mean : Tensor
        float64 [P, C, S], over the states after the steps burn_in + 1 ... n_steps.
    accepted : Tensor
        int64 [P, C], accepted proposals of all n_steps.
    """
    pools, size = log_weight.shape
    device = log_weight.device
    sequence = torch.arange(pools * n_chains, device=device).view(pools, n_chains, 1)

    def draws(first: int, last: int) -> tuple[Tensor, Tensor]:
        position = torch.arange(first, last, device=device)
        r, r2 = rng.philox(seed, sequence, position, rng.CHAIN)
        return exact.log(rng.uniform(r)), rng.multiply_high(r2, size)

    state = draws(0, 1)[1][..., 0]
    held = log_weight.gather(1, state)
    accepted = torch.zeros_like(state)
    total = values.new_zeros(pools, n_chains, values.shape[2])
    for first in range(1, n_steps + 1, _BLOCK):
        log_u, proposal = draws(first, min(first + _BLOCK, n_steps + 1))
        for n in range(proposal.shape[2]):
            weight = log_weight.gather(1, proposal[..., n])
            take = log_u[..., n] < weight - held
            held = torch.where(take, weight, held)
            state = torch.where(take, proposal[..., n], state)
            accepted += take
            if first + n > burn_in:
                total += values.gather(1, state[..., None].expand_as(total))
    return total / (n_steps - burn_in), accepted
