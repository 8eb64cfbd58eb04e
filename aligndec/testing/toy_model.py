"""A small model over words, for runs that need neither weights nor network."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import torch

from aligndec.testing.table_lm import TableLM

__all__ = ["ToyTokenizer", "toy_model"]

_END = "<end>"
_WORDS = (
    *("the", "a", "film", "book", "meal", "day", "and", "but", "was", "felt", "very", "quite"),
    *("good", "great", "lovely", "happy", "fun", "bad", "awful", "sad", "dull", "terrible"),
)
_SEED = 42


class ToyTokenizer:
    """One token per word; a prompt is reduced to the words that it hashes to."""

    words = (_END, *_WORDS)

    def __len__(self) -> int:
        return len(self.words)

    def __call__(self, text: str) -> dict[str, list[int]]:
        """Give every word of a prompt a token, the same for equal words."""
        ids = [1 + zlib.crc32(word.encode()) % len(_WORDS) for word in text.split()]
        return {"input_ids": ids}

    def batch_decode(
        self, rows: Sequence[Sequence[int]], skip_special_tokens: bool = True
    ) -> list[str]:
        """Join the words of each row."""
        first = 1 if skip_special_tokens else 0
        return [" ".join(self.words[i] for i in row if i >= first) for row in rows]


def toy_model() -> tuple[TableLM, ToyTokenizer]:
    """Return a Markov chain of first order over some twenty words, and its tokenizer."""
    size = len(ToyTokenizer.words)
    generator = torch.Generator().manual_seed(_SEED)
    table = 1.5 * torch.randn(size, size, generator=generator)
    return TableLM(table, eos_token_id=0), ToyTokenizer()
