"""The parts of vLLM that our processor touches, by their published signatures: no engine."""

import enum
import sys
import types
from dataclasses import dataclass, field
from typing import Any


class MoveDirectionality(enum.Enum):
    UNIDIRECTIONAL = enum.auto()
    SWAP = enum.auto()


@dataclass
class BatchUpdate:
    batch_size: int
    removed: list = field(default_factory=list)
    added: list = field(default_factory=list)
    moved: list = field(default_factory=list)


@dataclass
class SamplingParams:
    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    min_p: float = 0.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    min_tokens: int = 0
    max_tokens: int | None = 16
    seed: int | None = None
    logit_bias: Any = None
    bad_words: Any = None
    allowed_token_ids: Any = None
    structured_outputs: Any = None
    extra_args: Any = None


class LogitsProcessor:
    @classmethod
    def validate_params(cls, sampling_params):
        return None


def install(monkeypatch) -> types.ModuleType:
    """Put fakes in place of vLLM, and import our room anew on them."""
    names = ("vllm", "vllm.distributed", "vllm.v1", "vllm.v1.sample")
    modules = {name: types.ModuleType(name) for name in (*names, f"{names[-1]}.logits_processor")}
    modules["vllm"].LLM, modules["vllm"].SamplingParams = object, SamplingParams
    modules["vllm.distributed"].get_tensor_model_parallel_rank = lambda: 0
    place = modules["vllm.v1.sample.logits_processor"]
    place.BatchUpdate, place.MoveDirectionality = BatchUpdate, MoveDirectionality
    place.LogitsProcessor = LogitsProcessor
    for name in [m for m in sys.modules if m.startswith("aligndec.integrations.vllm")]:
        monkeypatch.delitem(sys.modules, name)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return modules["vllm"]
