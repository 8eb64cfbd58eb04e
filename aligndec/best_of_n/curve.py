"""Reward of best-of-n from a pool of M >= n scored samples per prompt."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

from aligndec.best_of_n.bounds import counts
from aligndec.best_of_n.law import tie_groups
from aligndec.shared import plain_arguments, tensor_of

__all__ = ["Curve", "reward_curve"]


class Curve(NamedTuple):
    """`mean` over the prompts float64 [G], `per_prompt` [..., G], `se` [G] of the mean.

    `se` = std(per_prompt)/sqrt(prompts) with ddof 1: NaN for a single prompt.
    """

    mean: Tensor
    per_prompt: Tensor
    se: Tensor


@plain_arguments
def reward_curve(
    select: Tensor,
    n: int | Tensor,
    *,
    evaluate: Tensor | None = None,
    estimator: Literal["unbiased", "plugin"] = "unbiased",
) -> Curve:
    """Return the mean reward of best-of-n as a function of n.

    Parameters
    ----------
    select : Tensor
        Floating-point [..., M], the rewards that choose, −inf allowed; M samples of each prompt.
    n : int or Tensor
        A number or [G]. "unbiased": integers in [1, M]. "plugin": real numbers > 0.
    evaluate : Tensor, optional
        Floating-point [..., M], the rewards that are reported (gold) when they are not those that
        choose (proxy).
    estimator : {"unbiased", "plugin"}
        "unbiased": the average over all subsets of n samples. "plugin": best-of-n from the
        empirical law, biased low, for any n.

    Returns
    -------
    Curve
        G = 1 for a number.

    Raises
    ------
    ValueError, TypeError
        n > M with "unbiased": no unbiased estimator exists.

    Notes
    -----
    Ascending order statistics with weights C(i − 1, n − 1)/C(M, n); the reported rewards of tied
    samples are averaged, which is the average over uniform tie breaks.
    """
    name = "best_of_n.reward_curve"
    select = tensor_of(name, "select", select).detach().double()
    gold = select
    if evaluate is not None:
        gold = tensor_of(name, "evaluate", evaluate).detach().double()
        if gold.shape != select.shape:
            raise ValueError(
                f"{name}: evaluate must be {list(select.shape)}, got {list(gold.shape)}"
            )
    if estimator not in ("unbiased", "plugin"):
        raise ValueError(f"{name}: estimator must be 'unbiased' or 'plugin', got {estimator!r}")
    grid = counts(name, n, select.device).reshape(-1)
    size = select.shape[-1]
    if estimator == "unbiased" and not bool(((grid == grid.round()) & (grid <= size)).all()):
        bad = grid[(grid != grid.round()) | (grid > size)][0].item()
        raise ValueError(
            f"{name}: n must be an integer <= M = {size} for the unbiased estimator, got {bad:g}"
        )
    weights = _subset_weights(grid, size) if estimator == "unbiased" else _powers(grid, size)
    values = _tie_means(select, gold)
    if bool(values.isfinite().all()):
        curve = values @ weights.T
    else:  # an infinite reward of weight 0 does not count
        curve = torch.where(weights > 0, weights * values[..., None, :], 0.0).sum(-1)
    rows = curve.reshape(-1, grid.shape[0])
    prompts, mean = rows.shape[0], rows.mean(0)
    if prompts < 2:
        return Curve(mean, curve, torch.full_like(mean, torch.nan))
    return Curve(mean, curve, rows.std(0, correction=1) / prompts**0.5)


def _subset_weights(n: Tensor, size: int) -> Tensor:
    """C(i − 1, n − 1)/C(M, n) for i = 1 … M: [G, M], downwards by w_{i−1} = w_i (i−n)/(i−1)."""
    i = torch.arange(size, 1, -1, dtype=torch.float64, device=n.device)
    ratios = ((i - n[:, None]) / (i - 1)).clamp(min=0.0)
    return torch.cat([n[:, None] / size, ratios], 1).cumprod(1).flip(1)


def _powers(n: Tensor, size: int) -> Tensor:
    """(i/M)^n − ((i − 1)/M)^n."""
    share = torch.arange(size + 1, dtype=torch.float64, device=n.device) / size
    return (share ** n[:, None]).diff(dim=1)


def _tie_means(select: Tensor, gold: Tensor) -> Tensor:
    """Sort by `select`; each value of `gold` becomes the mean of its tie group."""
    ordered, order = select.sort(-1)
    value = gold.gather(-1, order)
    group = tie_groups(ordered)
    total = torch.zeros_like(value).scatter_add(-1, group, value)
    count = torch.zeros_like(value).scatter_add(-1, group, torch.ones_like(value))
    return (total / count.clamp(min=1.0)).gather(-1, group)
