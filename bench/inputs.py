"""Logits: Gaussian ones, ones of a real model, and both rounded to half precision."""

import functools
import importlib.metadata

import torch
from torch import Tensor

from aligndec import models
from aligndec.cli import model_store
from aligndec.cli.console import CliError
from aligndec.cli.prompts import encode

__all__ = ["PROMPTS", "REAL", "make", "real_rows"]

REAL = "SmolLM2"
SCALES = {"N(0,3)": 3.0, "N(0,1)": 1.0}
PROMPTS = (
    "Describe a lighthouse at dawn in two sentences.",
    "Give me one good reason to learn to cook.",
    "Write the first line of a story about a clockmaker.",
    "Explain to a child why the sky is blue.",
    "List three things to pack for a day in the mountains.",
    "What is the difference between a comet and a meteor?",
    "Name a board game for two players and say why you like it.",
    "Write a short thank-you note to a neighbour.",
)
_ROWS_PER_PROMPT, _NEW_TOKENS = 4, 56


@functools.cache
def make(
    kind: str,
    batch: int,
    vocab: int,
    dtype: torch.dtype = torch.float32,
    values: torch.dtype | None = None,
) -> Tensor | None:
    """Logits [batch, vocab] of `dtype` that hold values of the type `values` (default: the same).

    The same arguments give the same tensor: candidates read the same memory. None: the model of
    the real rows is not installed, or has fewer tokens.
    """
    if values is not None:
        source = make(kind, batch, vocab)
        return None if source is None else source.to(values).to(dtype)
    if kind == REAL:
        rows = real_rows()
        if rows is None or rows.shape[0] < batch or rows.shape[1] < vocab:
            return None
        return rows[:batch, :vocab].contiguous()
    generator = torch.Generator().manual_seed(vocab)
    return torch.empty(batch, vocab).normal_(0.0, SCALES[kind], generator=generator)


@functools.cache
def real_rows() -> Tensor | None:
    """Next-token logits of SmolLM2, float32 [32, 49152], at 4 positions after each of 8 prompts.

    Recorded once and kept beside the converted model, outside of the repository.
    """
    if models.default_gguf() is None:
        return None
    version = importlib.metadata.version(models.PACKAGE)
    path = models.cache_dir() / f"{models.PACKAGE}-{version}-bench-logits.pt"
    if path.is_file():
        return torch.load(path, weights_only=True)
    try:
        loaded = model_store.load(None)
    except CliError as error:
        print(f"bench: no real logits ({error})")
        return None
    rows = _record(loaded.model, encode(loaded.tokenizer, list(PROMPTS)))
    torch.save(rows, path)
    return rows


@torch.inference_mode()
def _record(model: torch.nn.Module, prompts: list[list[int]]) -> Tensor:
    """Logits at evenly spaced positions of the greedy continuations, float32 [P * 4, V]."""
    rows = []
    for prompt in prompts:
        tokens = torch.tensor([prompt])
        tokens = model.generate(
            tokens,
            attention_mask=torch.ones_like(tokens),
            do_sample=False,
            max_new_tokens=_NEW_TOKENS,
            min_new_tokens=_NEW_TOKENS,
            pad_token_id=0,
        )
        at = torch.linspace(len(prompt) - 1, tokens.shape[1] - 2, _ROWS_PER_PROMPT).long()
        rows.append(model(input_ids=tokens).logits[0, at].float())
    return torch.cat(rows).clone()
