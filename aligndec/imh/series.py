"""What chains are worth whose steps are not independent proposals: from their own series."""

from __future__ import annotations

import torch
from torch import Tensor

from aligndec.imh.chain import Chain
from aligndec.imh.diagnostics import Diagnostics, walked

__all__ = ["integrated_time", "of_series", "split_r_hat"]


def of_series(log_target: Tensor, log_weight: Tensor, chains: Chain) -> Diagnostics:
    """Judge R chains for each of P prompts by the states they were in.

    Parameters
    ----------
    log_target, log_weight : Tensor
        float64 [P, R, N] of the states: ln target, up to a constant, and the log-weight.
    chains : Chain
        Their states and decisions, [P, R, N].

    Returns
    -------
    Diagnostics
        Fields [P]. `tau_int`, `ess_chain` (also as `ess`) and `r_hat` are those of ln target over
        all chains; what only a pool of independent proposals has is NaN.
    """
    rates, n_unique, hold = walked(chains)
    steps, restarts = log_target.shape[-1], log_target.shape[-2]
    rate = rates.mean(-1)
    none = torch.full_like(rate, torch.nan)
    tau = integrated_time(log_target)
    constant = (log_weight.amax((-1, -2)) == log_weight.amin((-1, -2))) & (n_unique.amin(-1) > 1)
    never = torch.zeros_like(constant)
    return Diagnostics(
        acceptance_rate=rate,
        n_unique=n_unique.sum(-1),
        longest_hold=hold.amax(-1),
        expected_acceptance=none,
        ess=restarts * steps / tau,
        ess_chain=restarts * steps / tau,
        tau_int=tau,
        w_star=none,
        max_weight_share=none,
        log_z=none,
        log_z_se=none,
        cramers_v=none,
        flags={
            "stuck": ((n_unique == 1) & (steps > 1)).any(-1),
            "degenerate": never,
            "always_accepting": (rate == 1) & ~constant,
            "constant_weights": constant,
            "dead": (log_weight[..., -1] == -torch.inf).any(-1),
        },
        pareto_k=none,
        r_hat=split_r_hat(log_target),
    )


def integrated_time(x: Tensor) -> Tensor:
    """Return the integrated autocorrelation time of R chains each, [..., R, N] → [...].

    Geyer's initial monotone sequence over the autocorrelations of all chains together, whose
    disagreement counts as correlation. NaN below 4 steps, for constant and for infinite series.

    References
    ----------
    Geyer 1992; Vehtari et al. 2021, Eq. 10.
    """
    n = x.shape[-1]
    if n < 4:
        return x.new_full(x.shape[:-2], torch.nan)
    centred = x - x.mean(-1, keepdim=True)
    spectrum = torch.fft.rfft(centred, 2 * n)
    power = spectrum.real.square() + spectrum.imag.square()
    covariance = (torch.fft.irfft(power, 2 * n)[..., :n] / n).mean(-2)
    within = covariance[..., 0] * n / (n - 1)
    total = within * (n - 1) / n + (x.mean(-1).var(-1) if x.shape[-2] > 1 else 0.0)
    rho = 1 - (within[..., None] - covariance) / total[..., None]
    rho[..., 0] = 1.0
    pairs = rho[..., : n // 2 * 2].unflatten(-1, (-1, 2)).sum(-1)
    positive = (pairs > 0).long().cumprod(-1)
    tau: Tensor = 2 * (pairs.cummin(-1).values * positive).sum(-1) - 1
    return tau


def split_r_hat(x: Tensor) -> Tensor:
    """Return the split-R̂ of R chains each, [..., R, N] → [...]; NaN below 4 steps or for one chain.

    References
    ----------
    Gelman, Rubin 1992; Vehtari et al. 2021.
    """
    half = x.shape[-1] // 2
    if half < 2 or x.shape[-2] < 2:
        return x.new_full(x.shape[:-2], torch.nan)
    halves = torch.cat([x[..., :half], x[..., -half:]], -2)
    within = halves.var(-1).mean(-1)
    return ((half - 1) / half + halves.mean(-1).var(-1) / within).sqrt()
