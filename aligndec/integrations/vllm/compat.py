"""All that is used of vLLM, in one place: names that a later version may move."""

from __future__ import annotations

from typing import Any

from vllm import LLM, SamplingParams
from vllm.distributed import get_tensor_model_parallel_rank
from vllm.v1.sample.logits_processor import BatchUpdate, LogitsProcessor, MoveDirectionality

__all__ = [
    "LLM",
    "BatchUpdate",
    "LogitsProcessor",
    "SamplingParams",
    "config_of",
    "is_swap",
    "keeps_books",
]


def is_swap(direction: Any) -> bool:
    """Whether a move of the batch exchanges two rows."""
    return bool(direction == MoveDirectionality.SWAP)


def keeps_books() -> bool:
    """Whether this worker is the one of its tensor-parallel group that keeps books."""
    return bool(get_tensor_model_parallel_rank() == 0)


def config_of(llm: Any) -> tuple[int, tuple[int, ...]]:
    """Return the size of the vocabulary and the end tokens of an `LLM`, as transformers has them.

    Its generation config comes first, then the model's own.
    """
    config = llm.llm_engine.model_config
    generation = config.try_get_generation_config() or {}
    ends = generation.get("eos_token_id", getattr(config.hf_config, "eos_token_id", None))
    listed = [ends] if isinstance(ends, int) else list(ends or ())
    return int(config.get_vocab_size()), tuple(map(int, listed))
