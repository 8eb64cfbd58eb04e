"""Whole strings by particle filters: one filter's weighted particles are the sample."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from aligndec.generation import Generation, groups, trim
from aligndec.global_law.methods import by_weight
from aligndec.global_law.particles import Filters, Setting
from aligndec.global_law.request import Request
from aligndec.global_law.running import running_of
from aligndec.global_law.samples import GlobalSamples, strings_of
from aligndec.imh import Diagnostics, sir
from aligndec.step import SUMS, PackedAdaptors, rows_of

__all__ = ["Filtered", "flagged", "run_filters", "smc"]


class Filtered(NamedTuple):
    """What R filters of N particles for each of P prompts came to.

    `generation`: all particles, prompt-major, or the chosen one of each filter. `log_weight`
    float64 [P, R, N]; `log_z_hat` float64 and `collapsed` bool [P, R]; `chosen` int64 [P, R];
    `ancestors` int64 [P, R, T, N] or None; `fed`: tokens that the model read.
    """

    generation: Generation
    log_weight: Tensor
    log_z_hat: Tensor
    collapsed: Tensor
    chosen: Tensor
    ancestors: Tensor | None
    fed: int


def smc(request: Request) -> GlobalSamples:
    """Draw from the pooled particles of a prompt's filters, by weight and with replacement."""
    out = run_filters(request, request.n_chains, one_each=False)
    weight = out.log_weight.flatten(1)
    names = out.generation.prompt_ids
    draw, drawn, judged = by_weight(weight, request.n_samples, request.seed, names)
    n, filters = weight.shape[1], out.log_z_hat.shape[1]
    error = torch.full_like(judged.log_z, torch.nan)
    if filters > 1:
        z = (out.log_z_hat - out.log_z_hat.amax(1, keepdim=True)).exp()
        error = z.std(1) / z.mean(1) / math.sqrt(filters)
    log_z = out.log_z_hat.logsumexp(1) - math.log(filters)
    judged = judged._replace(log_z=log_z, log_z_se=error)
    first = n * torch.arange(len(weight), device=weight.device)[:, None]
    index = torch.where(weight.gather(1, draw) == -torch.inf, -1, first + draw)
    judged = flagged(judged, out)
    rest = (request.model.forwards, out.log_z_hat, out.ancestors)
    return GlobalSamples(out.generation, index, drawn, weight, judged, out.fed, *rest)


def flagged(judged: Diagnostics, out: Filtered) -> Diagnostics:
    """Add what is to be said of a prompt's filters."""
    flags = {
        "collapsed": out.collapsed.any(1),
        "dead": (out.log_z_hat == -torch.inf).any(1),
    }
    return judged._replace(flags={**judged.flags, **flags})


def run_filters(request: Request, n_filters: int, *, one_each: bool) -> Filtered:
    """Run R filters for each prompt, as many at a time as `batch_size` has rows for.

    `one_each`: a particle of each filter is drawn by weight (stream 7, the name of slot 0), and the
    others are let go, unless they are to be kept.
    """
    given, options = request.prepare(), request.options
    n, prompts = options.n_particles, len(given.ids)
    rows_each = n_filters * n
    bar = request.bar(prompts * rows_each * request.max_new_tokens)
    setting = Setting(
        given=given,
        n_particles=n,
        threshold=options.threshold,
        scheme=options.resampling,
        max_new_tokens=request.max_new_tokens,
        seed=request.seed,
        keep_unfinished=request.unfinished == "prefix",
        most_rows=request.batch_size or prompts * rows_each,
        ancestry=options.keep_particles,
        bar=bar,
    )
    params, stateful = rows_of(given.adaptors), any(a.stateful for a in given.adaptors)
    # Whole filters together: a batch of rows is a multiple of N.
    together = max(n, setting.most_rows // n * n)
    parts, fed = [], 0
    for part, batches in groups(prompts, rows_each, together):
        ids, mask = trim(given.ids[part], given.mask[part])
        logits, state = given.lm.prefill(ids, mask)
        fed += int(mask.sum())
        for rows in batches:
            prompt = rows // rows_each
            many = len(params) > 1
            own = (params[prompt] if many else params).to(logits.device)
            adaptors = [given.adaptors[p] for p in prompt.tolist()] if many else given.adaptors
            filters = Filters(
                setting,
                running_of(request.target, adaptors, options.bridge),
                PackedAdaptors(own, len(rows), stateful),
                prompt.to(logits.device),
                (rows % rows_each).to(logits.device),
            )
            filters.run(logits, state, (prompt - part.start).to(logits.device))
            fed += filters.fed
            parts.append(_result(filters, one_each and not options.keep_particles))
    if bar is not None:
        bar.close()
    prompt, draw, tokens, length, finished, status, sums, weight, z, collapsed, chosen = (
        torch.cat(column) for column in zip(*(p[:-1] for p in parts), strict=True)
    )
    generation = strings_of(
        *(given, prompt, draw, tokens, sums.t()),
        length=length,
        finished=finished,
        status=status,
        seed=request.seed,
        max_new_tokens=request.max_new_tokens,
    )
    shape = (prompts, n_filters)
    ancestors = None
    if kept := [p[-1] for p in parts if p[-1] is not None]:
        ancestors = torch.cat(kept).view(*shape, request.max_new_tokens, n)
    fields = (z.view(shape), collapsed.view(shape), chosen.view(shape))
    return Filtered(generation, weight.view(*shape, n), *fields, ancestors, fed)


def _result(filters: Filters, one_each: bool) -> tuple[Tensor | None, ...]:
    """Return the columns of some filters, of their chosen particles alone if `one_each`."""
    n, sums = filters.setting.n_particles, filters.sums
    weight = filters.log_weight.view(-1, n)
    # A dead filter has no particle to draw; what it chooses has weight 0 whatever it is.
    live = torch.where((weight == -torch.inf).all(1, keepdim=True), 0.0, weight)
    slot = filters.names.view(-1, n)[:, 0]
    chosen = sir(live, 1, seed=filters.setting.seed, sequence_ids=slot)[:, 0]
    family = torch.nn.functional.one_hot(filters.root, n).sum(1).amax(1)
    rows = torch.arange(len(filters.prompt), device=weight.device)
    if one_each:
        rows = rows.view(-1, n).gather(1, chosen[:, None])[:, 0]
    return (
        filters.prompt[rows],
        filters.draw[rows],
        filters.tokens[rows],
        sums.length[rows],
        (sums.finished & (filters.status == 0))[rows],
        filters.status[rows],
        sums.sums[: len(SUMS), rows].t(),
        weight,
        filters.log_z_hat,
        (2 * family > n) & (n > 1),
        chosen,
        filters.ancestors,
    )
