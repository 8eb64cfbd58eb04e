"""Samplers with planted bugs, each next to the right one; written without the fused step."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from aligndec import Adaptor

_G = torch.Generator().manual_seed(0)
ROWS = torch.stack(
    [
        torch.randn(12, generator=_G) * 1.5,
        torch.randn(12, generator=_G) * 1.5,
        torch.tensor([2.0, 2.0, 1.5, 1.5, 1.5, 1.0, 0.5, 0.5, 0.0, -1.0, -2.0, -3.0]),
    ]
)


def law(x: Tensor, a: Adaptor, *, ties: bool = True, top_p_first: bool = False, min_p_base=False):
    """Probabilities [V] under temperature, top_k, top_p and min_p, or under a wrong version."""
    scaled = x.double() / a.temperature
    cut_on = x.double() if top_p_first else scaled
    keep = torch.ones_like(x, dtype=torch.bool)
    if a.top_k:
        order = torch.argsort(x, descending=True, stable=True)
        keep = x >= x[order[a.top_k - 1]]
        if not ties:
            keep = torch.zeros_like(keep).index_fill(0, order[: a.top_k], True)
    if a.top_p < 1:
        p = cut_on.masked_fill(~keep, -torch.inf).softmax(0)
        order = p.argsort(descending=True, stable=True)
        n = int((p[order].cumsum(0) < a.top_p).sum()) + 1
        keep &= p >= p[order[n - 1]]
    if a.min_p:
        p = (x.double() if min_p_base else scaled).softmax(0)
        keep &= p >= a.min_p * p.max()
    return scaled.masked_fill(~keep, -torch.inf).softmax(0)


def uniforms(seeds: Tensor, n: int = 1) -> Tensor:
    """Float64 [B, n] in [0, 1): SplitMix64 of the seeds, numbers of a row apart by streams."""
    with np.errstate(over="ignore"):
        z = seeds.numpy().astype(np.uint64)[:, None] * np.uint64(16) + np.arange(n, dtype=np.uint64)
        z = (z + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return torch.from_numpy((z >> np.uint64(11)).astype(np.float64) / 2.0**53)


def inverse(q: Tensor, u: Tensor) -> Tensor:
    """First token whose cumulative probability exceeds u: q [B, V], u [B]."""
    token = (q.cumsum(1) <= u[:, None]).sum(1)
    last = q.shape[1] - 1 - (q > 0).flip(1).int().argmax(1)
    return torch.minimum(token, last)


def inverse_cdf(q: Tensor, seeds: Tensor) -> Tensor:
    return inverse(q, uniforms(seeds)[:, 0])


def drawing(a: Adaptor, **wrong) -> Callable[[Tensor, Tensor], Tensor]:
    known: dict[tuple[float, ...], Tensor] = {}

    def of(x: Tensor) -> Tensor:
        key = tuple(x.tolist())
        if key not in known:
            known[key] = law(x, a, **wrong)
        return known[key]

    return lambda logits, seeds: inverse_cdf(torch.stack([of(x) for x in logits]), seeds)


def shared_uniform(logits: Tensor, seeds: Tensor) -> Tensor:
    """Each batch draws one number for all of its rows."""
    q = logits.double().softmax(1)
    return inverse(q, uniforms(seeds[:1])[:, 0].expand(len(q)))


def speculative(draft: Callable[[Tensor], Tensor], claimed: Callable[[Tensor], Tensor]):
    """Leviathan et al. 2023: accept a draft with min(1, p/q), else draw from (p − q)+.

    `draft` gives the law that drafts are drawn from, `claimed` the one that they are judged by.
    """

    def draw(logits: Tensor, seeds: Tensor) -> Tensor:
        u, p, q = uniforms(seeds, 3), logits.double().softmax(1), claimed(logits)
        y = inverse(draft(logits), u[:, 0])
        accept = u[:, 1] * q.gather(1, y[:, None])[:, 0] < p.gather(1, y[:, None])[:, 0]
        rest = (p - q).clamp(min=0)
        rest = rest / rest.sum(1, keepdim=True).clamp(min=1e-300)
        return torch.where(accept, y, inverse(rest, u[:, 2]))

    return draw


class Planted(NamedTuple):
    logits: Tensor
    adaptor: Adaptor
    right: Callable[[Tensor, Tensor], Tensor]
    wrong: Callable[[Tensor, Tensor], Tensor]
    found_by: tuple[str, ...]


def _pair(
    row: int, a: Adaptor, other: Adaptor | None = None, found_by=("law",), **wrong
) -> Planted:
    return Planted(ROWS[row], a, drawing(a), drawing(other or a, **wrong), found_by)


def _warm(logits: Tensor) -> Tensor:
    return (logits.double() / 1.5).softmax(1)


def _hot(logits: Tensor) -> Tensor:
    return (logits.double() / 2.0).softmax(1)


_THREE = torch.tensor([0.1, 0.6, 0.3]).log()
_DRAWN = torch.tensor([0.10, 0.63, 0.27], dtype=torch.float64)
PLANTED = {
    "temperature 5 % too low": _pair(
        0, Adaptor(temperature=0.8), Adaptor(temperature=0.76), ("law", "mean surprise")
    ),
    "temperature 5 % too high": _pair(
        0, Adaptor(temperature=0.8), Adaptor(temperature=0.84), ("law", "mean surprise")
    ),
    "top-k one too many": _pair(0, Adaptor(top_k=5), Adaptor(top_k=6), ("support",)),
    "top-k one too few": _pair(0, Adaptor(top_k=5), Adaptor(top_k=4)),
    "ties dropped": _pair(2, Adaptor(top_k=4), ties=False),
    "a uniform for all rows": Planted(
        ROWS, Adaptor(), drawing(Adaptor()), shared_uniform, ("rows of a batch",)
    ),
    "top-p before temperature": _pair(
        0, Adaptor(temperature=0.6, top_p=0.8), found_by=("support",), top_p_first=True
    ),
    "min-p on the base law": _pair(
        0, Adaptor(temperature=1.5, min_p=0.1), found_by=("law",), min_p_base=True
    ),
    "10/60/30 drawn 10/63/27": Planted(
        *(_THREE, Adaptor(), drawing(Adaptor())),
        lambda x, s: inverse_cdf(_DRAWN.expand(len(x), -1), s),
        ("law",),
    ),
    "a draft law that is not the sampled one": Planted(
        *(ROWS[1], Adaptor(), speculative(_hot, _hot), speculative(_hot, _warm)),
        ("law",),
    ),
}
