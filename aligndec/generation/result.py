"""What generation and teacher-forced scoring return, and the Parquet file of a run."""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aligndec.generation.kept import DrawnSets, of_strings, scales_of
from aligndec.generation.parquet import read_generation, write_generation
from aligndec.step import SUMS, Adaptor, KeptSets, Penalties

__all__ = ["Generation", "StringScores"]


class StringSums(NamedTuple):
    """Sums over given strings under A adaptors, all [A, N]."""

    log_p: Tensor
    log_q: Tensor
    log_z: Tensor
    log_kept: Tensor
    kl: Tensor
    length: Tensor
    status: Tensor


class StringScores(StringSums):
    """Sums over given strings under A adaptors; see `aligndec.score_strings`.

    All fields are [A, N]: float64 `log_p, log_q, log_z, log_kept, kl`, int64 `length` (tokens
    counted) and `status` (0; 3: some token lies outside of its kept set, `log_q` is -inf; 5: some
    given set is not complete, all sums but `log_p` are NaN; 1 or 2: a row of logits was bad or left
    no token, the sums are NaN).

    Attributes
    ----------
    token_log_p, token_log_q, token_log_z, token_log_kept, token_kl : float64 [A, N, T] or None
        Of each token, with `per_token`; zeros after the end. T is the longest length.
    """

    token_log_p: Tensor | None = None
    token_log_q: Tensor | None = None
    token_log_z: Tensor | None = None
    token_log_kept: Tensor | None = None
    token_kl: Tensor | None = None

    def with_tokens(self, *books: Tensor) -> StringScores:
        """Return the same sums with the books of each token, in the order of the fields."""
        out = StringScores(*self)
        for name, value in zip(SUMS, books, strict=True):
            setattr(out, f"token_{name}", value)
        return out


@dataclass(kw_only=True, eq=False)
class Generation:
    """Strings drawn from a model, with their exact bookkeeping.

    N rows, prompt-major: row = prompt · num_return_sequences + draw. Sums run over the generated
    tokens, EOS included, in nats. Tensors live where the logits were; `to` moves them.

    Attributes
    ----------
    tokens : int64 [N, T_new]
        Generated ids, `pad_token_id` after the end. T_new is the longest length.
    input_ids : int64 [P, T]
        Prompts, left padded with `pad_token_id`.
    attention_mask : bool [P, T]
        True at prompt tokens.
    prompt_ids : int64 [P]
        Names of the prompts in the random-number scheme.
    prompt_index : int64 [N]
        Row of `input_ids` that each string continues.
    draw : int64 [N]
        Number of the draw for its prompt, counted from `first_draw`.
    length : int64 [N]
        Tokens counted, EOS included.
    finished : bool [N]
        An end token was drawn.
    status : int64 [N]
        0, or the status (1: NaN or +inf, 2: no token) of the bad row that ended the string.
    log_p, log_q, log_z, log_kept, kl : float64 [N]
        Sums of the fields of `Step`.
    log_p_ref : float64 [N] or None
        The same tokens under the reference model; NaN where its logits were bad.
    token_log_p, token_log_q, token_log_z, token_log_kept, token_kl, token_log_p_ref :
        float64 [N, T_new] or None. Per token, zeros after the end.
    kept : KeptSets of N · T_new rows, or None
        The set that each token was drawn from, row = string · T_new + token; empty after the end.
    stopped : bool [N] or None
        A stop string ended in the last token; None without stop strings.
    seed, max_new_tokens, pad_token_id, eos_token_id, adaptors, penalties, stop_strings
        As used; `adaptors` holds one `Adaptor`, or one per prompt.
    """

    tokens: Tensor
    input_ids: Tensor
    attention_mask: Tensor
    prompt_ids: Tensor
    prompt_index: Tensor
    draw: Tensor
    length: Tensor
    finished: Tensor
    status: Tensor
    log_p: Tensor
    log_q: Tensor
    log_z: Tensor
    log_kept: Tensor
    kl: Tensor
    seed: int
    max_new_tokens: int
    pad_token_id: int
    eos_token_id: tuple[int, ...]
    adaptors: tuple[Adaptor, ...]
    log_p_ref: Tensor | None = None
    token_log_p: Tensor | None = None
    token_log_q: Tensor | None = None
    token_log_z: Tensor | None = None
    token_log_kept: Tensor | None = None
    token_kl: Tensor | None = None
    token_log_p_ref: Tensor | None = None
    kept: KeptSets | None = None
    penalties: Penalties | None = None
    stop_strings: tuple[str, ...] = ()
    stopped: Tensor | None = None

    def __post_init__(self) -> None:
        if self.kept is not None:
            self.kept = DrawnSets(*self.kept)
            self.kept.scales = scales_of(self.adaptors)
            self.kept.edited = self.penalties is not None

    def __len__(self) -> int:
        return int(self.tokens.shape[0])

    @property
    def sequences(self) -> Tensor:
        """Prompt and completion, int64 [N, T + T_new]."""
        return torch.cat([self.input_ids[self.prompt_index], self.tokens], 1)

    @property
    def sequence_ids(self) -> Tensor:
        """Random-number sequence of each row, int64 [N]: prompt_id · 2^32 + draw."""
        return sequence_id(self.prompt_ids[self.prompt_index], self.draw)

    @property
    def finish_reason(self) -> list[str]:
        """Per row "eos" (an end token was drawn), "stop" (a stop string), "length" or "error"."""
        names = ("length", "eos", "error", "stop")
        codes = torch.where(self.status != 0, 2, self.finished.long())
        if self.stopped is not None:
            codes = torch.where(self.stopped, 3, codes)
        return [names[code] for code in codes.tolist()]

    def completions(self) -> list[list[int]]:
        """Return the generated ids of each row without padding."""
        rows = zip(self.tokens.tolist(), self.length.tolist(), strict=True)
        return [row[:length] for row, length in rows]

    def prompts(self) -> list[list[int]]:
        """Return the prompt ids of each row without padding."""
        pairs = zip(self.input_ids.tolist(), self.attention_mask.sum(1).tolist(), strict=True)
        unpadded = [row[len(row) - length :] for row, length in pairs]
        return [unpadded[i] for i in self.prompt_index.tolist()]

    def select(self, index: Tensor) -> Generation:
        """Gather rows; the prompts stay as they are."""
        some = self._map(lambda name, x: x[index] if name not in _PER_PROMPT else x)
        if self.kept is None:
            return some
        return dataclasses.replace(some, kept=of_strings(self.kept, index, len(self)))

    def to(self, device: str | torch.device) -> Generation:
        """Move all tensors."""
        moved = self._map(lambda name, x: x.to(device))
        if self.kept is None:
            return moved
        return dataclasses.replace(moved, kept=self.kept.to(device))

    def _map(self, fn: Any) -> Generation:
        changed = {
            f.name: fn(f.name, value)
            for f in dataclasses.fields(self)
            if isinstance(value := getattr(self, f.name), Tensor)
        }
        return dataclasses.replace(self, **changed)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one Parquet file: a row per string, the run's metadata in the footer.

        The file appears under its name only when it is complete. Needs pyarrow.
        """
        write_generation(self, Generation, Path(path))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Generation:
        """Read a file that `save` wrote; every field comes back bit for bit, on the CPU."""
        out: Generation = read_generation(Generation, Path(path))
        return out


_PER_PROMPT = frozenset({"input_ids", "attention_mask", "prompt_ids"})


def sequence_id(prompt_id: Tensor, draw: Tensor) -> Tensor:
    """Random-number sequence of a string, int64: prompt_id · 2^32 + draw."""
    return prompt_id * 2**32 + draw
