"""Engines that `aligndec verify` knows: their logits, and one draw for each row of a batch."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from aligndec.cli.console import CliError
from aligndec.cli.demo.adaptors import generate_settings, has_counterpart
from aligndec.cli.model_store import load
from aligndec.cli.prompts import encode, read_prompts
from aligndec.generation import as_prompts
from aligndec.models import as_step_lm
from aligndec.step import Adaptor, sample
from aligndec.testing import toy_model
from aligndec.testing.referee.collect import Draw, Seeding

__all__ = ["ENGINES", "Engine", "Given"]


@dataclass(frozen=True)
class Given:
    """What the command was given to make an engine of."""

    model: str | None
    prompts_file: Path | None
    function: str | None


class Engine:
    """Base: logits [R, V] of the prompts, and for each law something that draws.

    `seeding` and `by_row` are those of `check_sampler`.
    """

    seeding: Seeding = "row"
    by_row = False
    packages: tuple[str, ...] = ("torch",)

    def logits(self) -> Tensor:
        """Return the logits of each prompt's next token, [R, V]."""
        raise NotImplementedError

    def draw(self, law: Adaptor) -> Draw:
        """Return what draws from the law."""
        raise NotImplementedError

    def versions(self) -> dict[str, str]:
        """Return the versions of what is judged."""
        return {name: importlib.metadata.version(name) for name in self.packages}


class Ours(Engine):
    """Our step on the logits of a model; `toy` is the model of twenty words."""

    def __init__(self, given: Given) -> None:
        prompts = read_prompts(given.prompts_file)
        if given.model == "toy":
            tokenizer: Any
            self.model: Any
            self.model, tokenizer = toy_model()
            ids = encode(tokenizer, prompts)
        else:
            loaded = load(given.model)
            self.model, ids = loaded.model, encode(loaded.tokenizer, prompts)
        lm = as_step_lm(self.model)
        self.ids, self.mask = as_prompts("verify", ids, None, lm.vocab_size, 0)
        with torch.no_grad():
            self._logits = lm.prefill(self.ids, self.mask)[0]

    def logits(self) -> Tensor:
        """Return the model's own."""
        return self._logits

    def draw(self, law: Adaptor) -> Draw:
        """Return `sample`; a string's name is its seed, whatever the batch."""
        return lambda logits, seeds: (
            sample(
                *(logits, law), seed=seeds, sequence_ids=torch.zeros_like(seeds), positions=0
            ).token
        )


class Function(Ours):
    """A function of the user's on the same logits."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self._function = _named(given.function or "")

    def draw(self, law: Adaptor) -> Draw:
        """Return the function under this law."""
        return lambda logits, seeds: self._function(logits, seeds, law)


class Transformers(Ours):
    """`model.generate` of transformers, one new token; its generator is seeded for each call."""

    seeding: Seeding = "call"
    by_row = True
    packages = ("torch", "transformers")

    def __init__(self, given: Given) -> None:
        if given.model == "toy":
            raise CliError("--model must be one of transformers for its sampler, got toy")
        super().__init__(given)

    def draw(self, law: Adaptor) -> Draw:
        """Return its sampler with the same settings."""
        if not has_counterpart(law):
            raise CliError(f"--adaptor must be a law that transformers has, got {law!r}")
        settings = generate_settings(law)

        def draw(rows: Tensor, seed: int) -> Tensor:
            torch.manual_seed(seed)
            out = self.model.generate(
                self.ids[rows], attention_mask=self.mask[rows].long(), max_new_tokens=1, **settings
            )
            return torch.as_tensor(out[:, -1])

        return draw


def _named(text: str) -> Callable[..., Any]:
    """Import a function by "module:name"."""
    module, _, name = text.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise CliError(f"--function must be module:name, got {text!r} ({error})") from error
    if not callable(found):
        raise CliError(f"--function must name a function, got {text!r}")
    return found  # type: ignore[no-any-return]


ENGINES: Mapping[str, Callable[[Given], Engine]] = {
    "aligndec": Ours,
    "transformers": Transformers,
    "callable": Function,
}
