"""Tokens per second of `aligndec.generate` and of `model.generate`, on equal terms.

Both decode the same left-padded prompts, the same number of draws per prompt and the same number
of tokens per string (no end token), on the same model with the same settings. They take turns,
each is warmed up first, and the fastest run counts, because a neighbour's load only ever slows.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aligndec.cli.demo.adaptors import generate_settings
from aligndec.generation import generate
from aligndec.step import Adaptor

__all__ = ["Speed", "measure"]

_REPEATS = 2
_BUDGET = 20.0
"""Seconds after which a pair of runs is not repeated: on a busy machine one has to do."""


class Speed(NamedTuple):
    """Generated tokens per second."""

    aligndec: float
    transformers: float


def measure(
    model: Any, input_ids: Tensor, mask: Tensor, adaptor: Adaptor, *, draws: int, tokens: int
) -> Speed:
    """Time both on prompts [P, T]; each makes P · draws strings of `tokens` tokens.

    aligndec's figure includes its bookkeeping; transformers returns the tokens alone.
    """

    def ours(count: int) -> int:
        out = generate(
            model,
            input_ids,
            mask,
            adaptor=adaptor,
            max_new_tokens=count,
            num_return_sequences=draws,
            eos_token_id=(),
        )
        return out.tokens.numel()

    def theirs(count: int) -> int:
        out = model.generate(
            input_ids,
            attention_mask=mask,
            max_new_tokens=count,
            num_return_sequences=draws,
            **generate_settings(adaptor),
        )
        return int(out[:, input_ids.shape[1] :].numel())

    with _no_end_token(model):
        torch.manual_seed(0)
        seconds = _fastest((ours, theirs), tokens, input_ids.shape[0] * draws * tokens)
    return Speed(*(input_ids.shape[0] * draws * tokens / second for second in seconds))


def _fastest(runs: tuple[Callable[[int], int], ...], tokens: int, expected: int) -> list[float]:
    for run in runs:
        run(2)
    best = [float("inf")] * len(runs)
    for _ in range(_REPEATS):
        if _BUDGET < sum(best) < float("inf"):
            break
        for i, run in enumerate(runs):
            start = time.perf_counter()
            made = run(tokens)
            best[i] = min(best[i], time.perf_counter() - start)
            if made != expected:
                raise RuntimeError(f"measure: tokens must be {expected} in both runs, got {made}")
    return best


@contextmanager
def _no_end_token(model: Any) -> Iterator[None]:
    """Let `model.generate` run to the cap: it takes its end token from the model's config."""
    config = model.generation_config
    kept, pad = config.eos_token_id, config.pad_token_id
    config.eos_token_id = None
    config.pad_token_id = 0 if pad is None else pad
    try:
        yield
    finally:
        config.eos_token_id, config.pad_token_id = kept, pad
