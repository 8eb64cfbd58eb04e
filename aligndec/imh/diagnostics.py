"""What a pool of log-weights and a chain over it are worth."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from aligndec.imh.checks import log_weights, pool_values
from aligndec.imh.diagnosis import Diagnostics
from aligndec.imh.pareto import pareto_k
from aligndec.imh.theory import importance, mixing

if TYPE_CHECKING:
    from aligndec.imh.chain import Chain

__all__ = ["Diagnostics", "diagnostics", "of_rejection", "of_restarts", "spectrum", "walked"]


def diagnostics(
    log_weight: Tensor,
    chain: Chain | None = None,
    values: Tensor | None = None,
    *,
    log_proposal: Tensor | None = None,
) -> Diagnostics:
    """Judge a pool of log-weights and, when given, a chain over it.

    Parameters
    ----------
    log_weight : Tensor
        Floating-point [..., N], finite or −inf.
    chain : Chain, optional
        What `chain` returned for these weights.
    values : Tensor, optional
        Floating-point [..., N, S], S numbers of every proposal, for `tau_int` and `ess_chain`.
    log_proposal : Tensor, optional
        Floating-point [..., N]: ln of the probabilities with which the entries are proposed, where
        they are all that can be (an enumerated model). Default ln 1/N, a pool.

    Returns
    -------
    Diagnostics
        Fields [...]; `tau_int` and `ess_chain` [..., S] with values.

    Notes
    -----
    With the weights in descending order the k-th eigenvalue of the chain is
    λ_k = Σ_{i >= k} q_i (1 − w_i / w_k), so one sort gives all of it; see `spectrum`.
    """
    where = "imh.diagnostics"
    weight, log_q = _proposed(where, log_weights(where, log_weight), log_proposal)
    shape, n = weight.shape[:-1], weight.shape[-1]
    if chain is not None and chain.index.shape != weight.shape:
        raise ValueError(f"{where}: chain must be {[*weight.shape]}, got {list(chain.index.shape)}")
    if values is not None:
        wide, values = pool_values(where, weight, values)
        if wide.shape != weight.shape:
            raise ValueError(
                f"{where}: values must be [..., N, S] with the leading dimensions of log_weight "
                f"{list(shape)} or fewer, got {list(values.shape)}"
            )
    pool, mix = importance(weight, log_q), mixing(weight, log_q, values)
    constant = weight.amax(-1) == weight.amin(-1)
    none = torch.zeros(shape, dtype=torch.int64, device=weight.device)
    walk = (torch.full_like(pool.ess, torch.nan), none, none) if chain is None else walked(chain)
    rate, n_unique, hold = walk
    flags = {
        "stuck": (n_unique == 1) & (n > 1),
        "degenerate": ((pool.max_share > 0.5) & (n > 1)) | (pool.ess == 0),
        "always_accepting": (rate == 1) & ~constant,
        "constant_weights": constant,
    }
    return Diagnostics(
        acceptance_rate=rate,
        n_unique=n_unique,
        longest_hold=hold,
        expected_acceptance=pool.acceptance,
        ess=pool.ess,
        ess_chain=n / mix.tau_int,
        tau_int=mix.tau_int,
        w_star=pool.w_star,
        max_weight_share=pool.max_share,
        log_z=pool.log_z,
        log_z_se=(1 / pool.ess - 1 / n).clamp(min=0).sqrt(),
        cramers_v=mix.cramers_v,
        flags=flags,
        pareto_k=pareto_k(weight),
    )


def walked(chain: Chain) -> tuple[Tensor, Tensor, Tensor]:
    """Return acceptance rate, number of states and longest hold of chains; fields [...]."""
    # A state was entered at the step of its own number.
    step = torch.arange(1, chain.index.shape[-1] + 1, device=chain.index.device)
    return chain.acceptance_rate, chain.accepted.sum(-1), (step - chain.index).amax(-1)


def spectrum(log_weight: Tensor, log_proposal: Tensor | None = None) -> Tensor:
    """Return the eigenvalues of the chain over a pool, but for the 1 of its stationary law.

    Parameters
    ----------
    log_weight : Tensor
        Floating-point [..., N], finite or −inf.
    log_proposal : Tensor, optional
        As in `diagnostics`.

    Returns
    -------
    Tensor
        float64 [..., N − 1], descending, in [0, 1 − 1/w*]; zeros where entries have no weight.

    References
    ----------
    Liu 1996.
    """
    weight = log_weights("imh.spectrum", log_weight)
    return mixing(*_proposed("imh.spectrum", weight, log_proposal), None).spectrum


def _proposed(function: str, weight: Tensor, log_proposal: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return weights [..., N] and the logs of their proposal probabilities, checked."""
    if log_proposal is None:
        return weight, torch.full_like(weight, -math.log(weight.shape[-1]))
    given = log_weights(function, log_proposal, "log_proposal")
    if given.shape != weight.shape:
        raise ValueError(
            f"{function}: log_proposal must be {[*weight.shape]}, got {list(given.shape)}"
        )
    total = given.logsumexp(-1)
    if bool((total.abs() > 1e-6).any()):
        raise ValueError(
            f"{function}: log_proposal must be normalised, got ln Σ q = "
            f"{total.reshape(-1)[total.abs().argmax()].item()}"
        )
    return weight, given


def of_restarts(log_weight: Tensor, chains: Chain) -> Diagnostics:
    """Return the fields [P] of prompts with R chains each, given [P, R, N] and their states.

    Weights are pooled over the chains of a prompt; it is "stuck" when one of its chains is.
    """
    pool = diagnostics(log_weight.flatten(-2))
    rates, n_unique, hold = walked(chains)
    rate = rates.mean(-1)
    return pool._replace(
        acceptance_rate=rate,
        n_unique=n_unique.sum(-1),
        longest_hold=hold.amax(-1),
        flags={
            **pool.flags,
            "stuck": ((n_unique == 1) & (log_weight.shape[-1] > 1)).any(-1),
            "always_accepting": (rate == 1) & ~pool.flags["constant_weights"],
        },
    )


def of_rejection(n_accepted: Tensor, n_proposals: Tensor) -> Diagnostics:
    """Return the fields [P] of independent samples, of which k = `n_accepted` of n were accepted.

    The target's weights are at most 1 and k / n estimates their mean Z, whence w* <= n / k.
    """
    k, n = n_accepted.double(), n_proposals.double()
    rate, one = k / n, torch.ones_like(n_accepted)
    none = torch.zeros_like(n_accepted, dtype=torch.bool)
    return Diagnostics(
        acceptance_rate=rate,
        n_unique=n_accepted,
        longest_hold=one,
        expected_acceptance=rate,
        ess=k,
        ess_chain=k,
        tau_int=one.double(),
        w_star=n / k,
        max_weight_share=1 / k,
        log_z=rate.log(),
        log_z_se=(1 / k - 1 / n).sqrt(),
        cramers_v=torch.zeros_like(k),
        flags={
            "stuck": none,
            "degenerate": k == 0,
            "always_accepting": none,
            "constant_weights": none,
        },
        pareto_k=torch.full_like(k, torch.nan),
    )
