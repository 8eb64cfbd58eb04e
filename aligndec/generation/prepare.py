"""What every loop over a model settles before it starts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aligndec.generation.prompts import Prompts, as_prompts, pad_id, prompt_names
from aligndec.models import StepLM, as_step_lm
from aligndec.shared import token_ids
from aligndec.step import Adaptor

__all__ = ["Prepared", "adaptors_of", "groups", "prepare"]


class Prepared(NamedTuple):
    """Checked arguments: prompts `ids` int64, `mask` bool [P, T], their `names` int64 [P]."""

    lm: StepLM
    ids: Tensor
    mask: Tensor
    names: Tensor
    adaptors: tuple[Adaptor, ...]
    eos: tuple[int, ...]
    pad: int


def prepare(
    function: str,
    model: Any,
    input_ids: Prompts,
    attention_mask: Tensor | None,
    *,
    adaptor: Adaptor | Sequence[Adaptor],
    prompt_ids: Tensor | Sequence[int] | None,
    eos_token_id: int | Sequence[int] | None,
    pad_token_id: int | None,
) -> Prepared:
    """Check the arguments that `generate` and its relatives share."""
    lm = as_step_lm(model)
    eos = lm.eos_token_id if eos_token_id is None else eos_token_id
    eos = token_ids(f"{function}: eos_token_id", eos, lm.vocab_size)
    pad = pad_id(function, lm, eos, pad_token_id)
    ids, mask = as_prompts(function, input_ids, attention_mask, lm.vocab_size, pad)
    adaptors = adaptors_of(function, adaptor)
    if not isinstance(adaptor, Adaptor) and len(adaptors) != len(ids):
        raise ValueError(f"{function}: adaptor must be one or P = {len(ids)}, got {len(adaptors)}")
    names = prompt_names(function, prompt_ids, len(ids))
    return Prepared(lm, ids, mask, names, adaptors, eos, pad)


def adaptors_of(function: str, adaptor: Adaptor | Sequence[Adaptor]) -> tuple[Adaptor, ...]:
    """Return one adaptor, or those of P prompts, as a tuple."""
    adaptors = tuple(adaptor) if isinstance(adaptor, Iterable) else (adaptor,)
    if not all(isinstance(a, Adaptor) for a in adaptors):
        raise TypeError(f"{function}: adaptor must be an Adaptor or P of them, got {adaptor!r}")
    return adaptors


def groups(
    n_prompts: int, n_draws: int, batch_size: int | None
) -> Iterator[tuple[slice, list[Tensor]]]:
    """Split P · R prompt-major rows into what is read and what is decoded together.

    Yields
    ------
    prompts : slice
        Prompts to be read in one go: each is in one group, whose draws are one batch if they fit.
    batches : list of Tensor
        int64 [b], all rows of these prompts; b <= batch_size (None: one batch of everything).
    """
    limit = n_prompts * n_draws if batch_size is None else batch_size
    per_group = max(1, limit // n_draws)
    for first in range(0, n_prompts, per_group):
        last = min(first + per_group, n_prompts)
        rows = torch.arange(first * n_draws, last * n_draws)
        yield slice(first, last), [rows[i : i + limit] for i in range(0, len(rows), limit)]
