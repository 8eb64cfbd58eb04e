"""The entry for transformers' `model.generate(custom_generate=...)`."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aligndec.generation.generate import generate
from aligndec.generation.model_kwargs import existing_ids, refuse_extras
from aligndec.generation.processors import penalties_of
from aligndec.models import as_step_lm
from aligndec.shared import plain_arguments
from aligndec.step import Adaptor, Penalties

__all__ = ["custom_generate"]

# What `generate` itself turns into a length cap and end tokens; we take both from the config.
_NO_PROCESSORS = "do_sample=False, or temperature=1.0, top_k=0, top_p=1.0"
_OWN_CRITERIA = ("MaxLengthCriteria", "EosTokenCriteria")
# What it makes of the fields that `Adaptor.from_generation_config` translates.
_TRANSLATED = {
    "TemperatureLogitsWarper": "temperature",
    "TopKLogitsWarper": "top_k",
    "TopPLogitsWarper": "top_p",
    "MinPLogitsWarper": "min_p",
    "TypicalLogitsWarper": "typical_p",
    "EpsilonLogitsWarper": "epsilon_cutoff",
    "EtaLogitsWarper": "eta_cutoff",
    "TopHLogitsWarper": "top_h",
}


@plain_arguments
def custom_generate(
    adaptor: Adaptor | None = None, *, seed: int | None = None, strict: bool = False
) -> Callable[..., Any]:
    """Return a decoding method for `model.generate(..., custom_generate=...)` of transformers.

    Prompts, mask, `max_new_tokens`, `num_return_sequences`, end and pad tokens are those of the
    `generate` call, and so are penalties (repetition, n-grams, biases and bad words, suppressed
    tokens, least lengths), of a history without padding. Sampling is the adaptor's alone: it
    replaces the temperature and the cuts of the call or of the model's generation config, as those
    of instruct models have them, with one warning that names them. Other logits processors are
    refused by name rather than mixed in or dropped.

    Parameters
    ----------
    adaptor : Adaptor, optional
        The law to draw from. None: that of the call's generation config, translated by
        `Adaptor.from_generation_config`.
    seed : int, optional
        Seed of the run. The prompts of all its calls are counted, and their numbers are their
        prompt ids, so that no batch shares numbers with another. None: fresh entropy for each call,
        kept as `generation.seed`.
    strict : bool
        Refuse a temperature and cuts beside an adaptor instead of replacing them.

    Returns
    -------
    callable
        It returns the sequences [N, T + T_new], or with `return_dict_in_generate=True` a
        `ModelOutput` with `sequences` and `generation`, the `Generation` with all sums.

    Examples
    --------
    >>> out = model.generate(ids, max_new_tokens=9, do_sample=False,
    ...                      custom_generate=custom_generate(Adaptor(top_p=0.9)))  # doctest: +SKIP
    """
    seen, warned = 0, False

    def decode(
        model: Any,
        input_ids: Tensor,
        logits_processor: Any = None,
        stopping_criteria: Any = None,
        generation_config: Any = None,
        **model_kwargs: Any,
    ) -> Any:
        nonlocal seen, warned
        refuse_extras(model, model_kwargs)
        config = generation_config
        penalties, others = penalties_of(logits_processor, input_ids.shape[1])
        own = () if strict and adaptor is not None else tuple(_TRANSLATED)
        _refuse("logits_processor", others, own, _NO_PROCESSORS)
        if others and adaptor is not None and not warned:
            warned = True
            _warn_replaced(others, config, adaptor)
        _refuse("stopping_criteria", stopping_criteria, _OWN_CRITERIA, "eos_token_id instead")
        if config.num_beams != 1:
            raise ValueError(f"custom_generate: num_beams must be 1, got {config.num_beams}")
        draws = config.num_return_sequences or 1
        mask = model_kwargs.get("attention_mask")
        law = adaptor
        if law is None:
            law = Adaptor.from_generation_config(config, penalties=penalties or Penalties())
        first, seen = seen, seen + (0 if seed is None else len(input_ids) // draws)
        lm = as_step_lm(model)
        generation = generate(
            lm,
            input_ids[::draws],  # rows come repeated; each prompt is read once here
            None if mask is None else mask[::draws],
            adaptor=law,
            penalties=penalties,
            seed=seed,
            prompt_ids=range(first, first + len(input_ids) // draws),
            num_return_sequences=draws,
            max_new_tokens=config.max_length - input_ids.shape[1],
            eos_token_id=existing_ids(lm, config.eos_token_id),
            pad_token_id=next(iter(existing_ids(lm, config.pad_token_id)), None),
        )
        sequences = torch.cat([input_ids, generation.tokens.to(input_ids.device)], 1)
        if not config.return_dict_in_generate:
            return sequences
        return _output_class()(sequences=sequences, generation=generation)

    return decode


def _refuse(argument: str, given: Any, own: tuple[str, ...], fix: str) -> None:
    names = [type(item).__name__ for item in given or ()]
    foreign = [name for name in names if name not in own]
    if foreign:
        raise ValueError(
            f"custom_generate: {argument} must be empty (they would change the law that the sums "
            f"describe), got {', '.join(foreign)}; pass {fix}"
        )


def _warn_replaced(processors: list[Any], config: Any, adaptor: Adaptor) -> None:
    """Name what the adaptor stands in for."""
    fields = [_TRANSLATED[type(item).__name__] for item in processors]
    named = ", ".join(f"{field} = {getattr(config, field, None)}" for field in fields)
    warnings.warn(
        f"custom_generate: {adaptor!r} replaces {named} of the generation config (strict=True "
        "refuses them)",
        UserWarning,
        stacklevel=3,
    )


@functools.cache
def _output_class() -> Any:
    from transformers.utils import ModelOutput

    @dataclass
    class AligndecOutput(ModelOutput):  # type: ignore[misc]
        """What `generate` returns with `return_dict_in_generate=True`."""

        sequences: Tensor | None = None
        generation: Any = None

    return AligndecOutput
