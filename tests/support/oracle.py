"""Float64 oracles written from the definitions of the kept set, with the margin of every decision.

They share no code and no arithmetic with the package: real numbers, sorts and cumulative sums in
place of integers and thresholds. A row is `safe` when every decision is further from its cut than
the weights' rounding can reach.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

STAGES = (
    "top_k",
    "top_p",
    "min_p",
    "typical_p",
    "epsilon_cutoff",
    "eta_cutoff",
    "top_n_sigma",
    "p_less",
    "top_h",
    "top_a",
)
MASS_MARGIN, LOGIT_MARGIN = 2e-7, 1e-7


class Kept(NamedTuple):
    mask: Tensor  # bool [R, V]
    safe: Tensor  # bool [R]


def _prefix(p: Tensor, rank: Tensor, target: float) -> tuple[Tensor, Tensor, Tensor]:
    """Smallest prefix by ascending `rank` whose mass reaches target; its margins in mass and rank.

    Ranks must be pairwise different, but for the tokens with rank +inf, which are out.
    """
    order = rank.argsort(dim=1)
    total = p.gather(1, order).cumsum(1)
    inside = torch.cat((torch.zeros_like(total[:, :1]), total[:, :-1]), 1) < target
    alive = rank.gather(1, order).isfinite()
    boundaries = (total - target).abs().masked_fill(~alive, math.inf)
    # The last boundary is the whole mass: nothing lies behind it.
    boundaries.scatter_(1, alive.sum(1, keepdim=True) - 1, math.inf)
    sorted_rank = rank.gather(1, order)
    gaps = sorted_rank.diff(dim=1, append=torch.full_like(rank[:, :1], math.inf))
    gaps = gaps.where(sorted_rank.isfinite(), torch.full_like(gaps, math.inf)).abs()
    last = (inside & alive).sum(1, keepdim=True) - 1
    gap = torch.minimum(gaps.gather(1, last), gaps.gather(1, (last - 1).clamp(min=0)))[:, 0]
    keep = torch.zeros_like(alive).scatter(1, order, inside & alive)
    return keep, boundaries.amin(1), gap


def kept(x: Tensor, **fields: float | int | str) -> Kept:
    """Kept set of float64 rows with pairwise different finite logits."""
    tau = float(fields.get("temperature", 1.0))
    if fields.get("cut_on", "scaled") == "base":
        tau = 1.0
    alive, safe = x.isfinite(), torch.ones(x.shape[0], dtype=torch.bool)
    for stage in STAGES:
        value = float(fields.get(stage, 0.0))
        if not value or (stage in ("top_p", "typical_p", "top_h") and value == 1.0):
            continue
        scaled = (x / tau).masked_fill(~alive, -math.inf)
        log_p = scaled.log_softmax(1)
        p = log_p.exp()
        entropy = -(p * log_p).nansum(1, keepdim=True)
        mass_safe = MASS_MARGIN * p.square().sum(1).sqrt()
        best = x.where(alive, torch.full_like(x, -math.inf)).amax(1, keepdim=True)
        cut = None  # the threshold in units of the logit
        if stage == "top_k":
            keep = log_p.argsort(1, descending=True).argsort(1) < int(value)
        elif stage == "top_p":
            rank = (-log_p).masked_fill(~alive, math.inf)
            keep, margin, _ = _prefix(p, rank, value)
            safe &= margin > mass_safe
        elif stage == "typical_p":
            rank = (-log_p - entropy).abs().masked_fill(~alive, math.inf)
            keep, margin, gap = _prefix(p, rank, value)
            safe &= (margin > mass_safe) & (gap * tau > LOGIT_MARGIN)
        elif stage == "min_p":
            cut = best + tau * math.log(value)
        elif stage == "epsilon_cutoff":
            cut = tau * (math.log(value) + scaled.logsumexp(1, keepdim=True))
        elif stage == "eta_cutoff":
            least = (math.sqrt(value) * torch.exp(-entropy)).clamp(max=value)
            cut = tau * (least.log() + scaled.logsumexp(1, keepdim=True))
        elif stage == "p_less":
            powers = (p**value).sum(1, keepdim=True)
            cut = tau * (powers.log() / (value - 1) + scaled.logsumexp(1, keepdim=True))
        elif stage == "top_h":
            terms = (-p * log_p).nan_to_num(0.0)
            order = log_p.argsort(1, descending=True)
            part = terms.gather(1, order).cumsum(1)
            most = value * entropy
            inside = part <= most
            inside[:, 0] = True
            keep = torch.zeros_like(alive).scatter(1, order, inside)
            near = (part - most).abs().masked_fill(~alive.gather(1, order), math.inf)
            near[:, 0] = math.inf  # stays in any case
            safe &= near.amin(1) > 3 * mass_safe * entropy[:, 0].clamp(min=1.0)
        elif stage == "top_a":
            cut = tau * (math.log(value) + 2 * best / tau - scaled.logsumexp(1, keepdim=True))
        else:
            near = x.isfinite() & (x >= x.amax(1, keepdim=True) - 1024)
            n = near.sum(1, keepdim=True)
            mean = x.where(near, torch.zeros_like(x)).sum(1, keepdim=True) / n
            spread = (x - mean).where(near, torch.zeros_like(x)).square().sum(1, keepdim=True)
            cut = best - value * (spread / n).sqrt()
        if cut is not None:
            keep = (x >= cut) | (x == best)
            far = (x - cut).abs().masked_fill(~alive | (x == best), math.inf).amin(1)
            safe &= far > LOGIT_MARGIN
        alive = alive & keep
    return Kept(alive, safe)


class Law(NamedTuple):
    log_p: Tensor
    log_q: Tensor
    log_z: Tensor
    log_kept: Tensor
    entropy: Tensor
    kl: Tensor


def law(x: Tensor, mask: Tensor, tau: float, token: Tensor) -> Law:
    """The numbers of one step in float64, from the definitions; every token among the kept ones."""
    log_p = x.log_softmax(1)
    inside = x.masked_fill(~mask, -math.inf) / tau
    log_q = inside.log_softmax(1)
    log_c = inside.logsumexp(1)
    at = token.unsqueeze(1)
    q = log_q.exp()
    return Law(
        log_p.gather(1, at)[:, 0],
        log_q.gather(1, at)[:, 0],
        log_c - x.logsumexp(1) / tau,
        log_c - (x / tau).logsumexp(1),
        -(log_p.exp() * log_p).nansum(1),
        (q * (log_q - log_p)).masked_fill(~mask, 0.0).sum(1),
    )


def chi_square_p(observed: Tensor, probability: Tensor) -> float:
    """P-value of counts under a law; mass on a cell of probability 0 gives 0."""
    if bool((observed[probability <= 0] > 0).any()):
        return 0.0
    live = probability > 0
    expected, order = (probability[live] * observed.sum()).sort()
    counts = observed[live].double()[order]
    # Pool the thinnest cells until the approximation holds for all.
    thin = int((expected.cumsum(0) < 10).sum()) + 1
    expected = torch.cat((expected[:thin].sum()[None], expected[thin:]))
    counts = torch.cat((counts[:thin].sum()[None], counts[thin:]))
    statistic = ((counts - expected).square() / expected).sum()
    half = torch.tensor(max(len(expected) - 1, 1) / 2, dtype=torch.float64)
    return float(torch.special.gammaincc(half, statistic / 2))
