"""Samples of a globally normalised adaptor: local proposals, corrected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from aligndec.errors import NotEnoughSamples
from aligndec.generation import Prompts, adaptors_of, read_prompts
from aligndec.global_law.methods import imh, sampling_importance_resampling
from aligndec.global_law.options import Options
from aligndec.global_law.pimh import pimh
from aligndec.global_law.rejection import reject
from aligndec.global_law.request import Request
from aligndec.global_law.samples import GlobalSamples, different
from aligndec.global_law.smc import smc
from aligndec.global_law.suffix import suffix
from aligndec.global_law.targets import Method, Target, Unfinished, check_method, check_target
from aligndec.imh import Scheme
from aligndec.models import Counted, as_step_lm, narrowed
from aligndec.shared import at_least, at_least_if_given, plain_arguments, run_seed
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
    method : {"imh", "rejection", "sir", "smc", "pimh", "suffix"}
        "imh": a Metropolis–Hastings chain per prompt, exact in the long run. "rejection":
        independent exact samples for targets "power" (τ <= 1) and "kept_mass"; a string stops at
        the step that rejects it and the next draw takes its place. "sir": draws by weight, with
        replacement, from a pool; exact as the pool grows. "smc": a particle filter, draws from its
        weighted particles; the error is of order 1/N. "pimh": a chain whose proposals are whole
        filters, exact in the long run for any N. "suffix": a chain that draws the rest of its
        string anew after a random cut, exact in the long run.
    unfinished : {"prefix", "reject"}
        Strings that reach `max_new_tokens` without an end token: the cap is part of the model, or
        they have weight 0.
    max_new_tokens : int
        Length cap.
    max_proposals : int, optional
        Most strings per prompt; a call that needs more is refused. "rejection": `NotEnoughSamples`
        when they are spent (default: 100 000 n_samples). "sir": the size of the pool (default: 20
        n_samples, at least 100).
    n_particles : int
        "smc", "pimh": N, the particles of a filter. More of them cost as many strings.
    threshold : float
        "smc", "pimh": slots choose new ancestors when the effective size of the filter's weights is
        below threshold · N. 0: never, 1: whenever the weights differ.
    resampling : {"systematic", "stratified", "multinomial", "residual"}
        "smc", "pimh": how they choose; see `imh.smc_resample`.
    bridge : int
        "smc", "pimh", target "power": the exponent goes from 1 to 1/τ in so many steps. The law of
        the result is the same.
    keep_particles : bool
        "smc", "pimh": keep `ancestors`, and all particles of "pimh".
    block_size : int, optional
        "suffix": the string grows by so many tokens at a time, with `moves` steps after each.
    moves : int
        "suffix" with `block_size`.
    batch_size : int, optional
        Rows of a forward at most; it may be smaller than `n_particles`. It changes no result.
    eos_token_id, pad_token_id, tokenizer, valid_vocab
        As in `generate`.

    Raises
    ------
    ValueError
        For a (target, method, temperature) that cannot be corrected, and for an option that the
        method would ignore; the message has the fix.

    Warns
    -----
    UserWarning
        Target "power" with a temperature above 1: the law depends on the length cap.

    Notes
    -----
    "Power sampling" of reasoning models, the law p^α of whole strings, is target "power" with
    `Adaptor(temperature=1 / α)`.

    A callable target with the attribute `partial = True` judges prefixes too: "smc" and "pimh" call
    it after every step with a `Generation` of prefixes; its differences are the steps' log-weights,
    −inf on a prefix is final. Without it the factors of "power" steer, corrected at the end.

    References
    ----------
    Sampling adaptors with global normalisation: arXiv 2406.10203, Eq. 6–8. Unlike there, the
    prompts are not mixed: one chain over several prompts tilts the law of the prompts. Particle
    filters and chains over them: Del Moral, Doucet, Jasra 2006; Andrieu, Doucet, Holenstein 2010.
    Suffixes and blocks: arXiv 2510.14901, here with the lengths in the acceptance.
    """

    @plain_arguments
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
        n_particles: int = 64,
        threshold: float = 0.5,
        resampling: Scheme = "systematic",
        bridge: int = 0,
        moves: int = 10,
        block_size: int | None = None,
        keep_particles: bool = False,
        tokenizer: Any = None,
        valid_vocab: int | None = None,
    ) -> None:
        check_target("GlobalSampler", target, unfinished)
        at_least("GlobalSampler", 1, max_new_tokens=max_new_tokens)
        at_least_if_given("GlobalSampler", 1, max_proposals=max_proposals, batch_size=batch_size)
        adaptors = adaptors_of("GlobalSampler", adaptor)
        check_method(target, method, adaptors)
        self.options = Options(
            n_particles, threshold, resampling, bridge, moves, block_size, keep_particles
        )
        self.options.check(method, target)
        self.model = narrowed("GlobalSampler", as_step_lm(model), valid_vocab, tokenizer)
        self.tokenizer = tokenizer
        self.adaptor = adaptor if isinstance(adaptor, Adaptor) else adaptors
        self.target = target
        self.method = method
        self.unfinished: Unfinished = unfinished
        self.max_proposals = max_proposals
        self._given: dict[str, Any] = {
            "max_new_tokens": max_new_tokens,
            "batch_size": batch_size,
            "eos_token_id": eos_token_id,
            "pad_token_id": pad_token_id,
        }

    @plain_arguments
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
        seed: int | None = None,
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
            burn_in + thin · n_samples proposals are made per prompt: strings, filters ("pimh") or
            suffixes, of which the first is a whole string, grown in blocks with `block_size`. The
            other methods draw independently and need neither burn-in nor thinning ("smc" refuses
            them).
        n_chains : int
            Restarts: chains per prompt that run side by side, each with its own burn-in and
            n_samples / n_chains samples. Chain c takes the draws c, c + n_chains, …; the samples
            are in the order of their draws. "smc": filters per prompt.
        seed : int, optional
            Seed of everything random. None: fresh entropy, kept as `generation.seed`.

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
        text = read_prompts(where, self.tokenizer, input_ids, attention_mask)
        request = Request(
            model=Counted(self.model),
            input_ids=text.input_ids,
            attention_mask=text.attention_mask,
            prompt_ids=prompt_ids,
            adaptor=self.adaptor,
            target=self.target,
            method=self.method,
            unfinished=self.unfinished,
            max_proposals=self.max_proposals,
            options=self.options,
            n_samples=n_samples,
            burn_in=burn_in,
            thin=thin,
            n_chains=n_chains,
            seed=run_seed(where, seed),
            progress=progress,
            **self._given,
        )
        request.check(where)
        samples = _METHODS[self.method](request)
        n_unique = different(samples.generation, samples.index)
        samples = samples._replace(
            generation=text.tell(samples.generation),
            diagnostics=samples.diagnostics._replace(n_unique=n_unique),
        )
        if bool((samples.index < 0).any()):
            drawn = ~samples.log_weight.isnan()  # by rejection some prompts need fewer proposals
            raise NotEnoughSamples(samples, int(drawn.sum()))
        return samples


_METHODS: dict[str, Callable[[Request], GlobalSamples]] = {
    "imh": imh,
    "rejection": reject,
    "sir": sampling_importance_resampling,
    "smc": smc,
    "pimh": pimh,
    "suffix": suffix,
}
