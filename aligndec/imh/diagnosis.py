"""What `diagnostics` returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from aligndec.shared import result

__all__ = ["Diagnostics"]


@result
class Diagnostics(NamedTuple):
    """What a pool of N log-weights and a chain over it are worth; fields [...], logs in nats.

    All but the first three are exact for the pool, whose chain proposes its N entries uniformly.

    Attributes
    ----------
    acceptance_rate : float64
        Of the chain; NaN without one.
    n_unique : int64
        Proposals that were a state of the chain; 0 without one.
    longest_hold : int64
        Most steps in a row with the same state; 0 without a chain.
    expected_acceptance : float64
        Stationary acceptance Σ_ij π_i q_j min(1, w_j / w_i).
    ess : float64
        Importance-sampling size (Σ w)² / Σ w², a count in [1, N]; 0 when all weights are 0.
    tau_int, ess_chain : float64
        Integrated autocorrelation time and N / tau_int, [..., S] for given values [..., N, S] (NaN
        for constant ones); without values [...], the bound 2 w* − 1 that holds for all values.
    w_star : float64
        Largest weight over the mean weight; the worst state is held w* steps on average.
    max_weight_share : float64
        Share of the largest weight.
    log_z, log_z_se : float64
        ln of the mean weight, and its relative standard error sqrt(1/ess − 1/N).
    pareto_k : float64
        Shape of the generalised Pareto law of the largest weights: above 0.7 their mean, and with
        it `log_z` and all that is weighted, is not to be trusted. NaN below 25 entries.
    cramers_v : float64
        Association of successive states of the stationary chain; 1 when it can never move.
    r_hat : float64 or None
        Split-R̂ of restarts, by method "suffix" alone.
    flags : dict of bool tensors
        "stuck": no proposal was ever accepted. "degenerate": one entry has more than half of the
        weight, or none has any. "always_accepting": nothing was rejected although the weights
        differ, that is, a broken accept test or a very short chain. "constant_weights": the local
        law is the target already.

    References
    ----------
    Liu 1996 (spectrum), Mengersen and Tweedie 1996 (w*), Vehtari et al. 2024 (Pareto k).
    """

    acceptance_rate: Tensor
    n_unique: Tensor
    longest_hold: Tensor
    expected_acceptance: Tensor
    ess: Tensor
    ess_chain: Tensor
    tau_int: Tensor
    w_star: Tensor
    max_weight_share: Tensor
    log_z: Tensor
    log_z_se: Tensor
    cramers_v: Tensor
    flags: dict[str, Tensor]
    pareto_k: Tensor
    r_hat: Tensor | None = None
