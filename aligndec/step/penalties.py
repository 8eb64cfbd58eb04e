"""What to penalise in a string: the fields and their checks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from aligndec.shared import at_least, plain, plain_fields, real, result, whole
from aligndec.step.bias import LogitBias

__all__ = ["Penalties"]


@result
@dataclass(frozen=True)
class Penalties:
    """What to penalise; the default penalises nothing.

    They apply in this order, each to what the one before left.

    Parameters
    ----------
    logit_bias : dict from int, or tuple of ints, to float, or LogitBias, optional
        Added to these tokens' logits; -inf takes a token out. For (…, a, b) it is added to b where
        the string ends in (…, a): bad words are such entries of -inf.
    repetition : float
        > 0. Tokens of the history: a positive logit is divided by it, a negative one multiplied.
        1 is off. Keskar et al. 2019.
    frequency, presence : float
        Subtracted once for each occurrence, and once for any, not counting the first
        `ignore_prompt` tokens of the history. 0 is off.
    no_repeat_ngram : int
        No n-gram of the history comes again: a token that would complete one is taken out. 0 is
        off. Paulus et al. 2017.
    dry : (multiplier, base, allowed_length, breakers), optional
        Where the history ends in m tokens that stand in it before, the token that followed there
        loses multiplier · base^(m − allowed_length), for m >= allowed_length; the longest m counts.
        Matches end at the token ids `breakers`, which are never penalised. "Don't repeat yourself"
        (p-e-w 2024), with breakers of one token each.
    ignore_prompt : int or Tensor
        Tokens at the start of a history that presence and frequency do not count; int64 [B] for
        each its own; in `generate` one for each prompt, and never more than the prompt.
    min_new_tokens : int
        No end token before so many tokens after the prompt. 0 is off.
    """

    repetition: float = 1.0
    presence: float = 0.0
    frequency: float = 0.0
    no_repeat_ngram: int = 0
    dry: tuple[float, float, int, Sequence[int]] | None = None
    logit_bias: Mapping[int | tuple[int, ...], float] | LogitBias | None = None
    ignore_prompt: int | Tensor = 0
    min_new_tokens: int = 0

    def __post_init__(self) -> None:
        plain_fields(self)
        for name in ("repetition", "presence", "frequency"):
            value = real("Penalties", name, getattr(self, name))
            low = 0.0 if name == "repetition" else -math.inf
            if not low < value < math.inf:
                what = "> 0 and finite" if name == "repetition" else "finite"
                raise ValueError(f"Penalties: {name} must be {what}, got {value}")
        at_least("Penalties", 0, no_repeat_ngram=self.no_repeat_ngram)
        at_least("Penalties", 0, min_new_tokens=self.min_new_tokens)
        if not isinstance(self.ignore_prompt, Tensor):
            if whole("Penalties", "ignore_prompt", self.ignore_prompt, "an int or int64 [B]") < 0:
                raise ValueError(f"Penalties: ignore_prompt must be >= 0, got {self.ignore_prompt}")
        if self.dry is not None:
            self._check_dry(self.dry)
            multiplier, base, length, breakers = self.dry
            dry = (float(multiplier), float(base), int(length), tuple(map(int, breakers)))
            object.__setattr__(self, "dry", dry)
        if isinstance(self.logit_bias, Mapping):
            plainly = {_key(k): plain(v) for k, v in self.logit_bias.items()}
            object.__setattr__(self, "logit_bias", plainly)

    @classmethod
    def from_generation_config(cls, config: Any) -> Penalties:
        """Translate the penalties of a transformers `GenerationConfig`.

        Repetition, n-grams, bad words, sequence biases, suppressed tokens and `min_new_tokens`;
        fields that are None are off. The rest of the config is for `Adaptor`'s method of this name.
        """
        from aligndec.step.generation_config import penalty_fields_of

        return cls(**penalty_fields_of(config))

    @staticmethod
    def _check_dry(dry: Any) -> None:
        if not isinstance(dry, Sequence) or len(dry) != 4:
            raise ValueError(
                "Penalties: dry must be (multiplier, base, allowed_length, breakers), got "
                f"{dry!r:.80}"
            )
        multiplier, base = (real("Penalties", "dry", v) for v in dry[:2])
        length = whole("Penalties", "dry", dry[2], "of an int allowed_length")
        for token in dry[3]:
            whole("Penalties", "dry", token, "of int breakers")
        if not (0.0 <= multiplier < math.inf and 1.0 <= base < math.inf and length >= 0):
            raise ValueError(
                "Penalties: dry must be of a multiplier >= 0, a base >= 1 and an allowed_length "
                f">= 0, got {dry[:3]}"
            )


def _key(key: Any) -> Any:
    return tuple(map(plain, key)) if isinstance(key, Sequence) else plain(key)
