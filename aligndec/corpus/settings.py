"""What a run is: the settings that its bytes depend on."""

from __future__ import annotations

import ast
import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aligndec.shared import at_least, at_least_if_given, plain_fields, whole
from aligndec.step import Adaptor

__all__ = ["Settings", "parsed", "parsed_adaptor"]

ENGINES = ("transformers",)


@dataclass(frozen=True)
class Settings:
    """Settings of a run; everything here but the places of files goes into its digest.

    Attributes
    ----------
    model : str
        What `aligndec.load` takes ("demo", a folder, a .gguf file, a hub id); "toy", a model of
        twenty words; or "package.module:function" that returns (model, tokenizer).
    prompts : str
        Text file (a prompt per line), JSONL, Parquet, or a folder of those or of `datasets`; see
        `PromptFile`.
    draws : int
        Strings of each prompt.
    max_new_tokens : int
        Length cap.
    seed : int
        Seed of the run.
    adaptor : Adaptor, or text such as "temperature=0.7,top_p=0.9"
    method : str
        "local": `generate`. A method of `GlobalSampler` ("imh", "rejection", "sir", "smc", "pimh",
        "suffix"), "transfer-q", "controlled-decoding", "args", "best-of-n" or
        "blockwise-best-of-n".
    method_options : mapping
        What else the method's class takes, by name; of `sample` too (`burn_in`, `thin`).
    reward : str, optional
        A reward by name (`aligndec.rewards`): column `reward`. The methods of the last group decode
        with it.
    reference : str, optional
        A model, as `model`, that reads the same strings: column `log_p_ref`.
    slots : int, optional
        Rows decoded together. Default: from the free memory and the size of the model's cache, when
        the run is created.
    shard_strings : int
        Strings of a shard, about: whole prompts, at least one.
    threads : int
        Threads of each worker: they order the sums inside of a model, so the last bits of its
        logits depend on them.
    engine : str
        "transformers".
    """

    model: str
    prompts: str
    draws: int = 1
    max_new_tokens: int = 64
    seed: int = 0
    adaptor: Adaptor = Adaptor()
    method: str = "local"
    method_options: Mapping[str, Any] = field(default_factory=dict)
    reward: str | None = None
    reference: str | None = None
    slots: int | None = None
    shard_strings: int = 512
    threads: int = 1
    engine: str = "transformers"

    def __post_init__(self) -> None:
        where = "corpus"
        plain_fields(self)
        for name in ("model", "prompts"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value:
                object.__setattr__(self, name, str(value or ""))
            if not getattr(self, name):
                raise ValueError(f"{where}: {name} must be a name or a path, got {value!r}")
        at_least(
            *(where, 1),
            draws=self.draws,
            max_new_tokens=self.max_new_tokens,
            shard_strings=self.shard_strings,
            threads=self.threads,
        )
        at_least_if_given(where, 1, slots=self.slots)
        whole(where, "seed", self.seed)
        if isinstance(self.adaptor, str):
            object.__setattr__(self, "adaptor", parsed_adaptor(self.adaptor))
        if not isinstance(self.adaptor, Adaptor):
            raise TypeError(f"{where}: adaptor must be an Adaptor or text, got {self.adaptor!r}")
        if self.engine not in ENGINES:
            raise ValueError(
                f"{where}: engine must be one of {', '.join(ENGINES)}, got {self.engine!r}"
            )

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON holds them."""
        return {**dataclasses.asdict(self), "method_options": dict(self.method_options)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Settings:
        """Inverse of `to_json`; tuples come back as tuples."""
        adaptor = {k: _tupled(v) for k, v in values["adaptor"].items()}
        return cls(**{**values, "adaptor": Adaptor(**adaptor)})

    @property
    def per_shard(self) -> int:
        """Prompts of a shard."""
        return max(1, self.shard_strings // self.draws)


def parsed_adaptor(text: str) -> Adaptor:
    """Return the adaptor of a text like "temperature=0.7,top_p=0.9"."""
    known = {f.name for f in dataclasses.fields(Adaptor)}
    values = parsed("adaptor", text)
    for name in values:
        if name not in known:
            raise ValueError(
                f"corpus: adaptor must name fields of Adaptor ({', '.join(sorted(known))}), got "
                f"{name!r}"
            )
    return Adaptor(**values)


def parsed(argument: str, text: str) -> dict[str, Any]:
    """Return the values of "name=value,name=value"; a value with colons is a tuple."""
    out: dict[str, Any] = {}
    for item in filter(None, (part.strip() for part in text.split(","))):
        name, sign, value = item.partition("=")
        if not sign or not name.strip().isidentifier():
            raise ValueError(
                f"corpus: {argument} must be name=value,name=value, got {item!r} in {text!r}"
            )
        parts = [_value(part.strip()) for part in value.split(":")]
        out[name.strip()] = parts[0] if len(parts) == 1 else tuple(parts)
    return out


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
