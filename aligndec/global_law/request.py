"""One call of `GlobalSampler.sample`, checked, as the methods read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from aligndec.generation import Prepared, Prompts, check_lengths, prepare
from aligndec.global_law.options import Options
from aligndec.global_law.targets import Target, Unfinished
from aligndec.models import Counted
from aligndec.shared import token_bar
from aligndec.step import Adaptor

__all__ = ["Request"]


@dataclass(frozen=True)
class Request:
    """See `GlobalSampler` and its `sample`; `model` counts what it is asked."""

    model: Counted
    input_ids: Prompts
    attention_mask: Tensor | None
    prompt_ids: Tensor | Sequence[int] | None
    adaptor: Adaptor | Sequence[Adaptor]
    target: Target
    method: str
    unfinished: Unfinished
    max_new_tokens: int
    max_proposals: int | None
    batch_size: int | None
    eos_token_id: int | Sequence[int] | None
    pad_token_id: int | None
    options: Options
    n_samples: int
    burn_in: int
    thin: int
    n_chains: int
    seed: int
    progress: bool

    @property
    def n_steps(self) -> int:
        """Count the proposals of one chain."""
        return self.burn_in + self.thin * (self.n_samples // self.n_chains)

    def check(self, where: str) -> None:
        """Refuse counts that the method would ignore, and more strings than are allowed."""
        if self.method == "smc":
            for name, value, default in (("burn_in", self.burn_in, 0), ("thin", self.thin, 1)):
                if value != default:
                    raise ValueError(
                        f'{where}: {name} must be {default}, its default, for method "smc", which '
                        f"runs no chain, got {value}"
                    )
        elif self.n_samples % self.n_chains:
            raise ValueError(
                f"{where}: n_samples must be a multiple of n_chains = {self.n_chains}, got "
                f"{self.n_samples}"
            )
        if self.max_proposals is None or self.method in ("sir", "rejection"):
            return
        n, what = self.n_chains * self.n_steps, "n_chains * burn_in + thin * n_samples"
        if self.method == "smc":
            n, what = self.n_chains * self.options.n_particles, "n_chains * n_particles"
        elif self.method == "pimh":
            n, what = n * self.options.n_particles, f"n_particles * ({what})"
        elif warm := self.warm_moves:
            n, what = n + self.n_chains * warm, f"n_chains * moves * blocks + {what}"
        if n > self.max_proposals:
            raise ValueError(
                f"{where}: {what} must be <= max_proposals = {self.max_proposals}, got {n}"
            )

    @property
    def warm_moves(self) -> int:
        """Count the moves of a chain while its string grows in blocks."""
        block = self.options.block_size
        return 0 if block is None else self.options.moves * -(-self.max_new_tokens // block)

    def kept_steps(self, device: torch.device) -> Tensor:
        """Return the steps after which a chain's states are the samples, int64 [n]."""
        each = torch.arange(1, self.n_samples // self.n_chains + 1, device=device)
        return self.burn_in + self.thin * each - 1

    def chain_names(self, prompt_ids: Tensor) -> Tensor:
        """Return the names of the chains in the random-number scheme, int64 [P, n_chains]."""
        restart = torch.arange(self.n_chains, device=prompt_ids.device)
        return prompt_ids[:, None] + restart * 2**32  # prompt ids are below 2^31

    def prepare(self) -> Prepared:
        """Return prompts, end tokens and adaptors in their normal form."""
        name = "GlobalSampler.sample"
        given = prepare(
            *(name, self.model, self.input_ids, self.attention_mask),
            adaptor=self.adaptor,
            prompt_ids=self.prompt_ids,
            eos_token_id=self.eos_token_id,
            pad_token_id=self.pad_token_id,
        )
        check_lengths(name, given.lm, given.mask, self.max_new_tokens, "max_new_tokens")
        return given

    def bar(self, total: int, unit: str = "tok") -> Any:
        """Return a bar with the method's name, or None."""
        return token_bar(self.method, total, unit) if self.progress else None
