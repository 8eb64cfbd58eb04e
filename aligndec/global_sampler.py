"""Samples of a globally normalised adaptor: local proposals, corrected by Metropolis–Hastings."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from aligndec._imh_diagnostics import Diagnostics, diagnostics
from aligndec._prompts import Prompts
from aligndec.adaptors import Adaptor
from aligndec.errors import NotEnoughSamples
from aligndec.generate import generate
from aligndec.generation import Generation
from aligndec.imh import chain
from aligndec.models import as_step_lm

__all__ = ["GlobalSampler", "GlobalSamples"]

Target = Literal["power", "kept_mass", "base"] | Callable[[Generation], Tensor]
_TARGETS = ("power", "kept_mass", "base")


class GlobalSamples(NamedTuple):
    """Samples of the target for P prompts, and everything that they were made from.

    Attributes
    ----------
    generation : Generation
        All proposals, P · n_proposals rows, prompt-major.
    index : int64 [P, n_samples]
        Rows of `generation`; a string that was held several times comes several times. −1 (only
        in what `NotEnoughSamples` carries): no proposal so far had any weight.
    accepted : bool [P, n_proposals]
        Whether each proposal replaced the state; the first always does.
    log_weight : float64 [P, n_proposals]
        ln target − ln proposal law.
    diagnostics : Diagnostics
        Of each prompt's chain, fields [P].
    """

    generation: Generation
    index: Tensor  # type: ignore[assignment]  # the name hides tuple.index
    accepted: Tensor
    log_weight: Tensor
    diagnostics: Diagnostics

    def strings(self) -> Generation:
        """Gather the samples themselves: P · n_samples rows, prompt-major."""
        return self.generation.select(self.index.reshape(-1))


class GlobalSampler:
    """Independence Metropolis–Hastings with a local adaptor as the proposal law.

    A local adaptor renormalises at every step, so the strings that it draws do not have the law
    that it describes for whole strings. Each prompt gets a chain of its own over strings drawn
    locally; in the long run its states follow the target, normalised over whole strings.

    Parameters
    ----------
    model : StepLM or transformers.PreTrainedModel
        As in `generate`.
    adaptor : Adaptor or sequence of P
        The local adaptor, one for all prompts or one each.
    target : {"power", "kept_mass", "base"} or callable
        The law of whole strings, up to a constant. "power": Π p(y_t)^(1/τ) on the kept sets, the
        adaptor globally normalised. "kept_mass": the product of the scaled local laws on the kept
        sets. "base": Π p(y_t), the model itself on the strings that the adaptor can draw. A
        callable receives the `Generation` of all proposals and returns their ln target, [N].
    method : {"imh"}
        How proposals become samples; "rejection" and "sir" come in a later version.
    unfinished : {"prefix", "reject"}
        Strings that reach `max_new_tokens` without an end token: the cap is part of the model, or
        they have weight 0.
    max_new_tokens : int
        Length cap.
    max_proposals : int, optional
        Most proposals per prompt; a call of `sample` that needs more is refused.
    batch_size, eos_token_id, pad_token_id
        As in `generate`.

    Warns
    -----
    UserWarning
        Target "power" with a temperature above 1: the law depends on the length cap.

    References
    ----------
    Sampling adaptors with global normalisation: arXiv 2406.10203, Eq. 6–8. Unlike there, the
    prompts are not mixed: one chain over several prompts tilts the law of the prompts.
    """

    def __init__(
        self,
        model: Any,
        adaptor: Adaptor | Sequence[Adaptor] = Adaptor(),
        *,
        target: Target = "power",
        method: Literal["imh", "rejection", "sir"] = "imh",
        unfinished: Literal["prefix", "reject"] = "prefix",
        max_new_tokens: int,
        max_proposals: int | None = None,
        batch_size: int | None = None,
        eos_token_id: int | Sequence[int] | None = None,
        pad_token_id: int | None = None,
    ) -> None:
        if method != "imh":
            later = method in ("rejection", "sir")
            hint = f'; "{method}" comes in a later version' if later else ""
            raise ValueError(f'GlobalSampler: method must be "imh", got {method!r}{hint}')
        if target not in _TARGETS and not callable(target):
            raise ValueError(
                f"GlobalSampler: target must be one of {_TARGETS} or a callable, got {target!r}"
            )
        if unfinished not in ("prefix", "reject"):
            raise ValueError(
                f'GlobalSampler: unfinished must be "prefix" or "reject", got {unfinished!r}'
            )
        if max_new_tokens < 1:
            raise ValueError(f"GlobalSampler: max_new_tokens must be >= 1, got {max_new_tokens}")
        adaptors = (adaptor,) if isinstance(adaptor, Adaptor) else tuple(adaptor)
        if target == "power":
            _check_power(adaptors)
        self.model = as_step_lm(model)
        self.adaptor = adaptor if isinstance(adaptor, Adaptor) else adaptors
        self.target = target
        self.method = method
        self.unfinished = unfinished
        self.max_proposals = max_proposals
        self._options = {
            "max_new_tokens": max_new_tokens,
            "batch_size": batch_size,
            "eos_token_id": eos_token_id,
            "pad_token_id": pad_token_id,
        }

    @torch.no_grad()
    def sample(
        self,
        input_ids: Prompts,
        attention_mask: Tensor | None = None,
        *,
        n_samples: int,
        burn_in: int = 0,
        thin: int = 1,
        seed: int = 0,
        prompt_ids: Tensor | Sequence[int] | None = None,
        progress: bool = False,
    ) -> GlobalSamples:
        """Draw `n_samples` dependent samples per prompt from its chain.

        Parameters
        ----------
        input_ids, attention_mask, prompt_ids, progress
            As in `generate`. A prompt's samples depend on (seed, prompt id) alone.
        n_samples, burn_in, thin : int
            Sample i is the state after proposal burn_in + thin · (i + 1) − 1, so
            burn_in + thin · n_samples strings are generated per prompt.
        seed : int
            Seed of the proposals and of the chain.

        Returns
        -------
        GlobalSamples
            Look at `diagnostics` before trusting the samples: a stuck chain is a valid result.

        Raises
        ------
        NotEnoughSamples
            Some sample would be a string of weight 0, because no proposal before it had weight
            (unusable logits, all unfinished, a callable target of −inf).
        """
        least = {"n_samples": (n_samples, 1), "burn_in": (burn_in, 0), "thin": (thin, 1)}
        for name, (value, bound) in least.items():
            if value < bound:
                raise ValueError(f"GlobalSampler.sample: {name} must be >= {bound}, got {value}")
        n = burn_in + thin * n_samples
        if self.max_proposals is not None and n > self.max_proposals:
            raise ValueError(
                "GlobalSampler.sample: burn_in + thin * n_samples must be <= max_proposals = "
                f"{self.max_proposals}, got {n}"
            )
        options: dict[str, Any] = {**self._options, "prompt_ids": prompt_ids, "progress": progress}
        generation = generate(
            self.model,
            input_ids,
            attention_mask,
            adaptor=self.adaptor,
            seed=seed,
            num_return_sequences=n,
            **options,
        )
        log_weight = self._log_weight(generation).view(-1, n)
        states = chain(log_weight, seed=seed, sequence_ids=generation.prompt_ids)
        last = burn_in + thin * torch.arange(1, n_samples + 1, device=log_weight.device) - 1
        held = states.index[:, last]
        index = held + n * torch.arange(len(held), device=held.device)[:, None]
        weightless = log_weight.gather(1, held) == -torch.inf
        samples = GlobalSamples(
            generation,
            torch.where(weightless, -1, index),
            states.accepted,
            log_weight,
            diagnostics(log_weight, states),
        )
        if bool(weightless.any()):
            raise NotEnoughSamples(samples, log_weight.numel())
        return samples

    def _log_weight(self, out: Generation) -> Tensor:
        """Return ln target − ln proposal law of every string, float64 [N]."""
        if self.target == "power":
            weight = out.log_z
        elif self.target == "kept_mass":
            weight = out.log_kept
        elif self.target == "base":
            weight = out.log_p - out.log_q
        else:
            given = self.target(out)
            if not isinstance(given, Tensor) or given.shape != out.log_q.shape:
                got = list(given.shape) if isinstance(given, Tensor) else type(given).__name__
                raise ValueError(
                    f"GlobalSampler: target must return a Tensor [N] = [{len(out)}], got {got}"
                )
            weight = given.to(out.log_q) - out.log_q
        dead = out.status != 0
        if self.unfinished == "reject":
            dead = dead | ~out.finished
        return torch.where(dead, -torch.inf, weight)


def _check_power(adaptors: Sequence[Adaptor]) -> None:
    temperatures = [a.temperature for a in adaptors]
    if 0 in temperatures:
        raise ValueError(
            'GlobalSampler: temperature must be > 0 for target "power", got 0 (greedy decoding '
            "has no power law)"
        )
    if max(temperatures, default=1.0) > 1:
        warnings.warn(
            f'GlobalSampler: with temperature {max(temperatures)} > 1 the target "power" depends '
            "on max_new_tokens: without a length cap its normaliser is in general infinite",
            UserWarning,
            stacklevel=3,
        )
