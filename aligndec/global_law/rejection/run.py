"""Rejection for all prompts: they are read in parts, and the samples are put together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aligndec.generation import Generation, Prompts, prepare, trim
from aligndec.global_law.rejection.draw import Law
from aligndec.global_law.rejection.loop import Task, accepted_strings
from aligndec.global_law.rejection.records import NO_DRAW, Accepted
from aligndec.global_law.rejection.strings import Source
from aligndec.global_law.samples import GlobalSamples
from aligndec.imh import of_rejection
from aligndec.shared import token_bar
from aligndec.step import SUMS, Adaptor, rows_of

__all__ = ["reject"]

# Proposals per sample after which a prompt is given up when no other bound is set: a target without
# any mass would be waited for for ever.
PATIENCE = 100_000


def reject(
    model: Any,
    input_ids: Prompts,
    attention_mask: Tensor | None,
    *,
    adaptor: Adaptor | Sequence[Adaptor],
    n_samples: int,
    factor: str,
    max_proposals: int | None,
    keep_unfinished: bool,
    max_new_tokens: int,
    seed: int,
    prompt_ids: Tensor | Sequence[int] | None,
    batch_size: int | None,
    eos_token_id: int | Sequence[int] | None,
    pad_token_id: int | None,
    progress: bool,
) -> tuple[GlobalSamples, int]:
    """Return the first `n_samples` accepted draws of every prompt, and the proposals of all.

    Draw d of a prompt passes step t with probability exp(`factor` of that step), by its own random
    number (stream 4, position t); it stops where it fails. So what is accepted is a function of
    (seed, prompt id, d), whatever the batch.
    """
    given = prepare(
        *("GlobalSampler.sample", model, input_ids, attention_mask),
        adaptor=adaptor,
        prompt_ids=prompt_ids,
        eos_token_id=eos_token_id,
        pad_token_id=pad_token_id,
    )
    n_prompts = len(given.ids)
    most = min(max_proposals or PATIENCE * n_samples, NO_DRAW)
    slots = batch_size or n_prompts * n_samples
    bar = token_bar("reject", n_prompts * n_samples, "str") if progress else None
    params, stateful = rows_of(given.adaptors), any(a.stateful for a in given.adaptors)
    task = Task(n_samples, most, keep_unfinished, slots, bar)
    parts = []
    for first in range(0, n_prompts, slots):
        part = slice(first, min(first + slots, n_prompts))
        ids, mask = trim(given.ids[part], given.mask[part])
        source = Source.read(given, part, ids, mask, max_new_tokens, seed)
        own = (params if len(params) == 1 else params[part]).to(source.logits.device)
        found = accepted_strings(task, source, Law(own, stateful, factor))
        parts.append(found._replace(prompt=found.prompt + first))
    if bar is not None:
        bar.close()
    found = Accepted(*(torch.cat(column) for column in zip(*parts, strict=True)))
    prompt, length, n_drawn, device = found.prompt, found.length, found.n_drawn, found.prompt.device
    width = max(1, int(length.max()) if len(length) else 1)
    generation = Generation(
        tokens=found.tokens[:, :width].contiguous(),
        input_ids=given.ids.to(device),
        attention_mask=given.mask.to(device),
        prompt_ids=given.names.to(device),
        prompt_index=prompt,
        draw=found.draw,
        length=length,
        finished=found.finished,
        status=torch.zeros_like(length),
        **dict(zip(SUMS, found.sums.t().contiguous(), strict=True)),
        seed=seed,
        max_new_tokens=max_new_tokens,
        pad_token_id=given.pad,
        eos_token_id=given.eos,
        adaptors=given.adaptors,
    )
    index = torch.full((n_prompts, n_samples), -1, dtype=torch.int64, device=device)
    index[prompt, found.rank] = torch.arange(len(prompt), device=device)
    number = torch.arange(int(n_drawn.max()), device=device)
    left = torch.where(number < n_drawn[:, None], -torch.inf, torch.nan).double()
    left[prompt, found.draw] = 0.0
    judged = of_rejection((index >= 0).sum(1), n_drawn)
    return GlobalSamples(generation, index, left == 0.0, left, judged), int(n_drawn.sum())
