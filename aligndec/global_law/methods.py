"""How proposals that are all there become samples: by chains, or by weight."""

from __future__ import annotations

import torch
from torch import Tensor

from aligndec.imh import Diagnostics, chain, diagnostics, of_restarts, sir

__all__ = ["by_chains", "by_weight"]


def by_weight(
    weight: Tensor, n_samples: int, seed: int, names: Tensor
) -> tuple[Tensor, Tensor, Diagnostics]:
    """Draws [P, n_samples] by weight, which proposals came up, and diagnostics."""
    # A pool without any weight is reported by the caller, with what there is.
    live = torch.where((weight == -torch.inf).all(1, keepdim=True), 0.0, weight)
    draw = sir(live, n_samples, seed=seed, sequence_ids=names)
    drawn = torch.zeros_like(weight, dtype=torch.bool).scatter_(1, draw, True)
    return draw, drawn, diagnostics(weight)._replace(n_unique=drawn.sum(1))


def by_chains(
    weight: Tensor, last: Tensor, n_chains: int, seed: int, names: Tensor
) -> tuple[Tensor, Tensor, Diagnostics]:
    """States [P, n_samples] after the steps `last` of each chain, decisions, and diagnostics."""
    prompts = len(weight)
    side_by_side = weight.view(prompts, -1, n_chains).transpose(1, 2)
    restart = torch.arange(n_chains, device=weight.device)
    ids = names[:, None] + restart * 2**32  # names are below 2^31
    states = chain(side_by_side, seed=seed, sequence_ids=ids)
    draw = states.index[..., last] * n_chains + restart[:, None]
    accepted = states.accepted.transpose(1, 2).reshape(weight.shape)
    judged = of_restarts(side_by_side, states)
    return draw.transpose(1, 2).reshape(prompts, -1), accepted, judged
