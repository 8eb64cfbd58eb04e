"""Checks and normal form of prompts: left-padded int64 ids with a bool mask; names, pad, bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aligndec.shared import integers, listed, plain, token_ids

__all__ = [
    "Prompts",
    "as_prompts",
    "pad_id",
    "prompt_names",
    "trim",
]

Prompts = Tensor | Sequence[Sequence[int]]


def pad_id(where: str, lm: Any, eos: tuple[int, ...], given: int | None) -> int:
    """Return the given pad token, else the model's, else its first end token, else 0."""
    own = getattr(lm, "pad_token_id", None)
    pad = given if given is not None else own if own is not None else eos[0] if eos else 0
    return token_ids(f"{where}: pad_token_id", pad, lm.vocab_size)[0]


def prompt_names(where: str, given: Tensor | Sequence[int] | None, n_prompts: int) -> Tensor:
    """Return the prompts' names in the random-number scheme, int64 [P]; default 0 … P − 1."""
    if given is None:
        return torch.arange(n_prompts)
    names = integers(f"{where}: prompt_ids", given)
    if len(names) != n_prompts or not all(0 <= name < 2**31 for name in names):
        raise ValueError(
            f"{where}: prompt_ids must be [P] = [{n_prompts}] in [0, 2^31), got {names}"
        )
    return torch.tensor(names)


def trim(ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Drop the leading columns that are padding in every row."""
    width = int(mask.sum(1).max())
    # Copies: a model, or a function that stands for one, may write into what it is given.
    return ids[:, ids.shape[1] - width :].clone(), mask[:, mask.shape[1] - width :].clone()


def as_prompts(
    where: str, input_ids: Prompts, attention_mask: Tensor | None, vocab_size: int, pad: int
) -> tuple[Tensor, Tensor]:
    """Normalise prompts.

    Parameters
    ----------
    where : str
        Function named in errors.
    input_ids : int64 [P, T] or list of P lists
        Left padded, or ragged.
    attention_mask : [P, T], optional
        Nonzero at real tokens; only together with a tensor.
    vocab_size, pad : int
        Ids must be in [0, V); padding is overwritten by `pad`.

    Returns
    -------
    ids int64 [P, T], mask bool [P, T]
        Left padded, without columns that are padding in every row.
    """
    input_ids, attention_mask = _as_tensor(input_ids), _as_tensor(attention_mask)
    if isinstance(input_ids, Tensor):
        ids, mask = _from_tensor(where, input_ids, attention_mask)
    else:
        ids, mask = _from_lists(where, input_ids, attention_mask)
    empty = (~mask.any(1)).nonzero()[:, 0].tolist()
    if empty:
        raise ValueError(
            f"{where}: input_ids must have at least one token in every prompt, got empty prompts "
            f"{empty[:8]}; start them with the model's BOS token"
        )
    if bool((mask[:, :-1] & ~mask[:, 1:]).any()):
        rows = (mask[:, :-1] & ~mask[:, 1:]).any(1).nonzero()[:, 0].tolist()
        raise ValueError(
            f"{where}: attention_mask must be left padding (zeros, then ones), got right or inner "
            f"padding in rows {rows[:8]}; tokenize with padding_side='left' or pass a list of lists"
        )
    wrong = mask & ((ids < 0) | (ids >= vocab_size))
    if bool(wrong.any()):
        row, column = wrong.nonzero()[0].tolist()
        raise ValueError(
            f"{where}: input_ids must be in [0, V) = [0, {vocab_size}), got "
            f"{int(ids[row, column])} in row {row}"
        )
    return trim(torch.where(mask, ids, pad), mask)


def _as_tensor(given: Any) -> Any:
    """Return an array of numpy as a tensor of its own, anything else as it is."""
    plain_array = isinstance(given, np.ndarray) and given.dtype != object
    return torch.from_numpy(given.copy()) if plain_array else given


def _from_tensor(where: str, ids: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    if ids.dim() != 2 or ids.numel() == 0:
        raise ValueError(
            f"{where}: input_ids must be [P >= 1, T >= 1] or a list of lists, got {list(ids.shape)}"
        )
    if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise TypeError(f"{where}: input_ids must be integers, got {ids.dtype}")
    if mask is None:
        return ids.long(), torch.ones_like(ids, dtype=torch.bool)
    if not isinstance(mask, Tensor):
        raise TypeError(f"{where}: attention_mask must be a Tensor, got {type(mask).__name__}")
    if mask.shape != ids.shape:
        raise ValueError(
            f"{where}: attention_mask must be [P, T] = {list(ids.shape)}, got {list(mask.shape)}"
        )
    return ids.long(), mask.to(ids.device).ne(0)


def _from_lists(
    where: str, rows: Sequence[Sequence[int]], mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    if mask is not None:
        raise ValueError(
            f"{where}: attention_mask must be None when input_ids is a list of lists, got a mask"
        )
    listed(f"{where}: input_ids", "an integer Tensor [P, T] or a list of lists of ids", rows)
    if len(rows) == 0 or any(isinstance(plain(row), int) for row in rows):
        raise ValueError(
            f"{where}: input_ids must be [P >= 1, T >= 1] or a list of lists of ids, got "
            + ("no prompt" if len(rows) == 0 else "a flat list; wrap it: [ids]")
        )
    texts = [integers(f"{where}: input_ids[{i}]", row) for i, row in enumerate(rows)]
    width = max(1, *map(len, texts))
    ids = torch.zeros(len(texts), width, dtype=torch.int64)
    mask = torch.zeros(len(texts), width, dtype=torch.bool)
    for i, row in enumerate(texts):
        if row:
            ids[i, width - len(row) :] = torch.tensor(row)
            mask[i, width - len(row) :] = True
    return ids, mask
