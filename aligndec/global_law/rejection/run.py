"""Rejection for all prompts: they are read in parts, and the samples are put together."""

from __future__ import annotations

import torch

from aligndec.generation import trim
from aligndec.global_law.rejection.draw import Law
from aligndec.global_law.rejection.loop import Task, accepted_strings
from aligndec.global_law.rejection.records import NO_DRAW, Accepted
from aligndec.global_law.rejection.strings import Source
from aligndec.global_law.request import Request
from aligndec.global_law.samples import GlobalSamples, strings_of
from aligndec.global_law.targets import REJECTION_FACTORS
from aligndec.imh import of_rejection
from aligndec.step import rows_of

__all__ = ["reject"]

# Proposals per sample after which a prompt is given up when no other bound is set: a target without
# any mass would be waited for for ever.
PATIENCE = 100_000


def reject(request: Request) -> GlobalSamples:
    """Return the first `n_samples` accepted draws of every prompt.

    Draw d of a prompt passes step t with the probability that the target's factor of that step is,
    by its own random number (stream 4, position t); it stops where it fails. So what is accepted is
    a function of (seed, prompt id, d), whatever the batch.
    """
    assert not callable(request.target)
    given, n_samples = request.prepare(), request.n_samples
    n_prompts = len(given.ids)
    most = min(request.max_proposals or PATIENCE * n_samples, NO_DRAW)
    slots = request.batch_size or n_prompts * n_samples
    bar = request.bar(n_prompts * n_samples, "str")
    params, stateful = rows_of(given.adaptors), any(a.stateful for a in given.adaptors)
    task = Task(n_samples, most, request.unfinished == "prefix", slots, bar)
    factor = REJECTION_FACTORS[request.target]
    parts = []
    for first in range(0, n_prompts, slots):
        part = slice(first, min(first + slots, n_prompts))
        ids, mask = trim(given.ids[part], given.mask[part])
        source = Source.read(given, part, ids, mask, request.max_new_tokens, request.seed)
        own = (params if len(params) == 1 else params[part]).to(source.logits.device)
        found = accepted_strings(task, source, Law(own, stateful, factor))
        parts.append(found._replace(prompt=found.prompt + first))
    if bar is not None:
        bar.close()
    found = Accepted(*(torch.cat(column) for column in zip(*parts, strict=True)))
    prompt, n_drawn, device = found.prompt, found.n_drawn, found.prompt.device
    generation = strings_of(
        *(given, prompt, found.draw, found.tokens, found.sums.t()),
        length=found.length,
        finished=found.finished,
        status=torch.zeros_like(found.length),
        seed=request.seed,
        max_new_tokens=request.max_new_tokens,
    )
    index = torch.full((n_prompts, n_samples), -1, dtype=torch.int64, device=device)
    index[prompt, found.rank] = torch.arange(len(prompt), device=device)
    number = torch.arange(int(n_drawn.max()), device=device)
    left = torch.where(number < n_drawn[:, None], -torch.inf, torch.nan).double()
    left[prompt, found.draw] = 0.0
    judged = of_rejection((index >= 0).sum(1), n_drawn)
    counts = (int(given.mask.sum() + found.fed.sum()), request.model.forwards)
    return GlobalSamples(generation, index, left == 0.0, left, judged, *counts)
