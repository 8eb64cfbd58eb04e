"""A Metropolis–Hastings chain whose proposals are whole particle filters.

Proposal n is a filter with its estimate of ln Z and one particle drawn from its final weights. The
chain over the estimates is exact for any number of particles: the chosen particles have the target
as their stationary law (Andrieu, Doucet, Holenstein 2010). More particles make the estimates agree,
and the chain accept; with one particle and no resampling it is the chain over strings.
"""

from __future__ import annotations

import torch

from aligndec.global_law.methods import by_chains
from aligndec.global_law.request import Request
from aligndec.global_law.samples import GlobalSamples
from aligndec.global_law.smc import flagged, run_filters

__all__ = ["pimh"]


def pimh(request: Request) -> GlobalSamples:
    """Run `n_chains` chains over filters for each prompt."""
    n_filters = request.n_chains * request.n_steps
    out = run_filters(request, n_filters, one_each=True)
    weight, device = out.log_z_hat, out.log_z_hat.device
    draw, accepted, judged = by_chains(weight, request, out.generation.prompt_ids)
    row = n_filters * torch.arange(len(weight), device=device)[:, None] + draw
    if request.options.keep_particles:
        row = request.options.n_particles * row + out.chosen.gather(1, draw)
    index = torch.where(weight.gather(1, draw) == -torch.inf, -1, row)
    judged = flagged(judged, out)
    rest = (request.model.forwards, weight, out.ancestors)
    return GlobalSamples(out.generation, index, accepted, weight, judged, out.fed, *rest)
