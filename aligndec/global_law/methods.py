"""How proposals that are all there become samples: by chains, or by weight."""

from __future__ import annotations

import torch
from torch import Tensor

from aligndec.generation import Generation, generate
from aligndec.global_law.request import Request
from aligndec.global_law.samples import GlobalSamples
from aligndec.global_law.targets import log_weight
from aligndec.imh import Diagnostics, chain, diagnostics, of_restarts, sir

__all__ = ["by_chains", "by_weight", "imh", "sampling_importance_resampling"]


def imh(request: Request) -> GlobalSamples:
    """Run a chain over local draws."""
    n = request.n_chains * request.n_steps
    generation, weight = _propose(request, n)
    draw, accepted, judged = by_chains(weight, request, generation.prompt_ids)
    return _samples(request, generation, weight, draw, accepted, judged)


def sampling_importance_resampling(request: Request) -> GlobalSamples:
    """Draw from a pool of local draws."""
    n = request.max_proposals or max(20 * request.n_samples, 100)
    generation, weight = _propose(request, n)
    names = generation.prompt_ids
    draw, drawn, judged = by_weight(weight, request.n_samples, request.seed, names)
    return _samples(request, generation, weight, draw, drawn, judged)


def by_weight(
    weight: Tensor, n_samples: int, seed: int, names: Tensor
) -> tuple[Tensor, Tensor, Diagnostics]:
    """Draws [P, n_samples] by weight, which proposals came up, and diagnostics."""
    # A pool without any weight is reported by the caller, with what there is.
    live = torch.where((weight == -torch.inf).all(1, keepdim=True), 0.0, weight)
    draw = sir(live, n_samples, seed=seed, sequence_ids=names)
    drawn = torch.zeros_like(weight, dtype=torch.bool).scatter_(1, draw, True)
    return draw, drawn, diagnostics(weight)


def by_chains(
    weight: Tensor, request: Request, names: Tensor
) -> tuple[Tensor, Tensor, Diagnostics]:
    """States [P, n_samples] of chains over proposals [P, n], decisions, and diagnostics."""
    prompts, n_chains = len(weight), request.n_chains
    side_by_side = weight.view(prompts, -1, n_chains).transpose(1, 2)
    states = chain(side_by_side, seed=request.seed, sequence_ids=request.chain_names(names))
    restart = torch.arange(n_chains, device=weight.device)
    draw = states.index[..., request.kept_steps(weight.device)] * n_chains + restart[:, None]
    accepted = states.accepted.transpose(1, 2).reshape(weight.shape)
    judged = of_restarts(side_by_side, states)
    return draw.transpose(1, 2).reshape(prompts, -1), accepted, judged


def _propose(request: Request, n: int) -> tuple[Generation, Tensor]:
    """Draw n strings for each prompt; return them and their log-weights [P, n]."""
    generation = generate(
        *(request.model, request.input_ids, request.attention_mask),
        adaptor=request.adaptor,
        max_new_tokens=request.max_new_tokens,
        seed=request.seed,
        num_return_sequences=n,
        prompt_ids=request.prompt_ids,
        eos_token_id=request.eos_token_id,
        pad_token_id=request.pad_token_id,
        batch_size=request.batch_size,
        progress=request.method if request.progress else False,
    )
    weight = log_weight(generation, request.target, unfinished=request.unfinished)
    return generation, weight.view(-1, n)


def _samples(
    request: Request,
    generation: Generation,
    weight: Tensor,
    draw: Tensor,
    accepted: Tensor,
    judged: Diagnostics,
) -> GlobalSamples:
    first = weight.shape[1] * torch.arange(len(weight), device=weight.device)[:, None]
    index = torch.where(weight.gather(1, draw) == -torch.inf, -1, first + draw)
    # Every token but the last is fed, and the last one too where bad logits came after it.
    fed = (
        generation.attention_mask.sum()
        + (generation.length - (generation.status == 0).long()).sum()
    )
    counts = (int(fed), request.model.forwards)
    return GlobalSamples(generation, index, accepted, weight, judged, *counts)
