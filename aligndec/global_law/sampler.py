"""Samples of a globally normalised adaptor: local proposals, corrected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from aligndec.errors import NotEnoughSamples
from aligndec.generation import Prompts, adaptors_of, generate
from aligndec.global_law.methods import by_chains, by_weight
from aligndec.global_law.rejection import reject
from aligndec.global_law.samples import GlobalSamples
from aligndec.global_law.targets import (
    REJECTION_FACTORS,
    Method,
    Target,
    Unfinished,
    check_method,
    check_target,
    log_weight,
)
from aligndec.models import as_step_lm
from aligndec.shared import at_least, at_least_if_given, whole
from aligndec.step import Adaptor

__all__ = ["GlobalSampler", "GlobalSamples"]


class GlobalSampler:
    """Whole-string samples with a local adaptor as the proposal law.

    A local adaptor renormalises at every step, so the strings that it draws do not have the law
    that it describes for whole strings. Strings drawn locally are corrected here, for each prompt
    by itself, so that they follow the target, normalised over whole strings.

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
    method : {"imh", "rejection", "sir"}
        "imh": a Metropolis–Hastings chain per prompt, exact in the long run. "rejection":
        independent exact samples for targets "power" (τ <= 1) and "kept_mass"; a string stops at
        the step that rejects it and the next draw takes its place. "sir": draws by weight, with
        replacement, from a pool; exact as the pool grows.
    unfinished : {"prefix", "reject"}
        Strings that reach `max_new_tokens` without an end token: the cap is part of the model, or
        they have weight 0.
    max_new_tokens : int
        Length cap.
    max_proposals : int, optional
        Most proposals per prompt. "imh": a call that needs more is refused. "rejection":
        `NotEnoughSamples` when they are spent (default: 100 000 n_samples). "sir": the size of the
        pool (default: 20 n_samples, at least 100).
    batch_size, eos_token_id, pad_token_id
        As in `generate`.

    Raises
    ------
    ValueError
        For a (target, method, temperature) that cannot be corrected; the message has the fix.

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
        method: Method = "imh",
        unfinished: Unfinished = "prefix",
        max_new_tokens: int,
        max_proposals: int | None = None,
        batch_size: int | None = None,
        eos_token_id: int | Sequence[int] | None = None,
        pad_token_id: int | None = None,
    ) -> None:
        check_target("GlobalSampler", target, unfinished)
        at_least("GlobalSampler", 1, max_new_tokens=max_new_tokens)
        at_least_if_given("GlobalSampler", 1, max_proposals=max_proposals, batch_size=batch_size)
        adaptors = adaptors_of("GlobalSampler", adaptor)
        check_method(target, method, adaptors)
        self.model = as_step_lm(model)
        self.adaptor = adaptor if isinstance(adaptor, Adaptor) else adaptors
        self.target = target
        self.method = method
        self.unfinished: Unfinished = unfinished
        self.max_proposals = max_proposals
        self._options: dict[str, Any] = {
            "adaptor": self.adaptor,
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
        n_chains: int = 1,
        seed: int = 0,
        prompt_ids: Tensor | Sequence[int] | None = None,
        progress: bool = False,
    ) -> GlobalSamples:
        """Draw `n_samples` samples per prompt.

        Parameters
        ----------
        input_ids, attention_mask, prompt_ids, progress
            As in `generate`. A prompt's samples depend on (seed, prompt id) alone.
        n_samples, burn_in, thin : int
            Of a chain: sample i is the state after proposal burn_in + thin · (i + 1) − 1, so
            burn_in + thin · n_samples strings are generated per prompt. The other methods draw
            independently and need neither burn-in nor thinning.
        n_chains : int
            Restarts: chains per prompt that run side by side, each with its own burn-in and
            n_samples / n_chains samples. Chain c takes the draws c, c + n_chains, …; the samples
            are in the order of their draws.
        seed : int
            Seed of the proposals and of everything that is done with them.

        Returns
        -------
        GlobalSamples
            Look at `diagnostics` before trusting the samples: a stuck chain is a valid result.

        Raises
        ------
        NotEnoughSamples
            `max_proposals` were spent before enough strings were accepted; or some sample would be
            a string of weight 0, because no proposal before it had weight (unusable logits, all
            unfinished, a callable target of −inf).
        """
        where = "GlobalSampler.sample"
        at_least(where, 1, n_samples=n_samples, thin=thin, n_chains=n_chains)
        at_least(where, 0, burn_in=burn_in)
        whole(where, "seed", seed)
        if n_samples % n_chains:
            raise ValueError(
                f"{where}: n_samples must be a multiple of n_chains = {n_chains}, got {n_samples}"
            )
        prompts = (self.model, input_ids, attention_mask)
        options = {**self._options, "prompt_ids": prompt_ids, "seed": seed, "progress": progress}
        if self.method == "rejection" and not callable(self.target):
            return self._by_rejection(prompts, n_samples, options)
        each = n_samples // n_chains
        n = n_chains * (burn_in + thin * each)
        if self.method == "sir":
            n = self.max_proposals or max(20 * n_samples, 100)
        elif self.max_proposals is not None and n > self.max_proposals:
            raise ValueError(
                f"{where}: n_chains * burn_in + thin * n_samples must be <= max_proposals = "
                f"{self.max_proposals}, got {n}"
            )
        generation = generate(*prompts, num_return_sequences=n, **options)
        weight = log_weight(generation, self.target, unfinished=self.unfinished).view(-1, n)
        if self.method == "sir":
            draw, accepted, judged = by_weight(weight, n_samples, seed, generation.prompt_ids)
        else:
            names = generation.prompt_ids
            last = burn_in + thin * torch.arange(1, each + 1, device=weight.device) - 1
            draw, accepted, judged = by_chains(weight, last, n_chains, seed, names)
        first = n * torch.arange(len(weight), device=weight.device)[:, None]
        weightless = weight.gather(1, draw) == -torch.inf
        index = torch.where(weightless, -1, first + draw)
        samples = GlobalSamples(generation, index, accepted, weight, judged)
        if bool(weightless.any()):
            raise NotEnoughSamples(samples, weight.numel())
        return samples

    def _by_rejection(
        self, prompts: tuple[Any, ...], n_samples: int, options: dict[str, Any]
    ) -> GlobalSamples:
        assert not callable(self.target)
        samples, n_proposals = reject(
            *prompts,
            n_samples=n_samples,
            factor=REJECTION_FACTORS[self.target],
            max_proposals=self.max_proposals,
            keep_unfinished=self.unfinished == "prefix",
            **options,
        )
        if bool((samples.index < 0).any()):
            raise NotEnoughSamples(samples, n_proposals)
        return samples
