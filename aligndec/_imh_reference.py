"""The specification of independence Metropolis–Hastings over log-weights, in eager PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor

from aligndec import _exact, rng

__all__ = ["imh_chain"]


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
    log_u, proposals = _exact.log(uniforms).t().contiguous(), log_weight.t().contiguous()
    state = proposals[0]
    accepted = torch.ones(steps, chains, dtype=torch.bool, device=device)
    for n in range(1, steps):
        # -inf: a finite proposal minus -inf is +inf; -inf minus anything is -inf or NaN.
        take = log_u[n] < proposals[n] - state
        accepted[n] = take
        state = torch.where(take, proposals[n], state)
    accepted = accepted.t().contiguous()
    return torch.where(accepted, step, 0).cummax(1).values, accepted, accepted.sum(1)
