"""The strings of a shard, by the method that a run names."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aligndec import transfer_q
from aligndec.corpus.settings import Settings
from aligndec.generation import Generation, generate_refilled, score_strings
from aligndec.global_law import GlobalSampler

__all__ = ["GLOBAL", "METHODS", "REWARDED", "Drawn", "check_method", "draw"]

GLOBAL = ("imh", "rejection", "sir", "smc", "pimh", "suffix")
REWARDED: dict[str, Any] = {
    "transfer-q": transfer_q.TransferQ,
    "controlled-decoding": transfer_q.ControlledDecoding,
    "args": transfer_q.Args,
    "best-of-n": transfer_q.BestOfN,
    "blockwise-best-of-n": transfer_q.BlockwiseBestOfN,
}
METHODS = ("local", *GLOBAL, *REWARDED)
_OF_SAMPLE = ("burn_in", "thin", "n_chains")


class Drawn(NamedTuple):
    """Strings, prompt-major, and further columns [N]."""

    generation: Generation
    columns: dict[str, Tensor]


def check_method(settings: Settings) -> None:
    """Refuse a method that is not known or does not fit the other settings."""
    method, options = settings.method, settings.method_options
    if method not in METHODS:
        raise ValueError(f"corpus: method must be one of {', '.join(METHODS)}, got {method!r}")
    if method == "local" and options:
        raise ValueError(f"corpus: method_options must be empty for method local, got {options}")
    if method in REWARDED:
        if settings.reward is None:
            raise ValueError(f"corpus: reward must be given for method {method}, got None")
        if settings.adaptor != type(settings.adaptor)():
            raise ValueError(
                f"corpus: adaptor must be the identity for method {method}, got {settings.adaptor}"
            )


def draw(
    settings: Settings,
    slots: int,
    model: Any,
    reference: Any,
    reward: Any,
    prompts: Any,
    names: Tensor,
) -> Drawn:
    """Draw `settings.draws` strings for each of the prompts, which are called `names` int64 [P]."""
    if settings.method == "local":
        return Drawn(
            generate_refilled(
                *(model, prompts),
                adaptor=settings.adaptor,
                max_new_tokens=settings.max_new_tokens,
                seed=settings.seed,
                num_return_sequences=settings.draws,
                prompt_ids=names,
                slots=slots,
                reference=reference,
            ),
            {},
        )
    by_method = _global if settings.method in GLOBAL else _rewarded
    out = by_method(settings, slots, model, reward, prompts, names)
    if reference is None:
        return out
    return Drawn(_read_by(reference, out.generation, slots), out.columns)


def _global(
    settings: Settings, slots: int, model: Any, _: Any, prompts: Any, names: Tensor
) -> Drawn:
    """Sample the law of whole strings; `proposal` tells which draw of its prompt each is."""
    options = dict(settings.method_options)
    sampling = {name: options.pop(name) for name in _OF_SAMPLE if name in options}
    sampler = GlobalSampler(
        *(model, settings.adaptor),
        method=settings.method,  # type: ignore[arg-type]
        max_new_tokens=settings.max_new_tokens,
        batch_size=slots,
        **options,
    )
    samples = sampler.sample(
        prompts, n_samples=settings.draws, seed=settings.seed, prompt_ids=names, **sampling
    )
    strings = samples.generation.select(samples.index.reshape(-1))
    number = torch.arange(settings.draws).repeat(len(prompts)).to(strings.draw.device)
    return Drawn(dataclasses.replace(strings, draw=number), {"proposal": strings.draw})


def _rewarded(
    settings: Settings, slots: int, model: Any, reward: Any, prompts: Any, names: Tensor
) -> Drawn:
    decoder = REWARDED[settings.method](model, reward, **settings.method_options)
    generation = decoder.generate(
        prompts,
        max_new_tokens=settings.max_new_tokens,
        seed=settings.seed,
        num_return_sequences=settings.draws,
        prompt_ids=names,
        batch_size=slots,
    )
    return Drawn(generation, {})


def _read_by(reference: Any, strings: Generation, slots: int) -> Generation:
    """Read the strings with a second model."""
    scores = score_strings(reference, strings.prompts(), strings.completions(), batch_size=slots)
    return dataclasses.replace(strings, log_p_ref=scores.log_p[0].to(strings.log_p.device))
