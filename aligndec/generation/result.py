"""What generation returns: strings with their books, as tensors, tables and files."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Self

from aligndec.generation.columns import write_lines
from aligndec.generation.concat import concat
from aligndec.generation.kept import DrawnSets, of_strings, scales_of
from aligndec.generation.parquet import read_generation, write_generation
from aligndec.generation.presented import Presented
from aligndec.shared import plain, result
from aligndec.step import Adaptor, KeptSets, Penalties

__all__ = ["Generation", "sequence_id"]


@result
@dataclass(kw_only=True, eq=False, repr=False)
class Generation(Presented):
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
    text : tuple of N str, or None
        The strings, where the run was given a tokenizer; special tokens are left out.
    prompt_text : tuple of P str, or None
        The prompts: texts as they were given, chats and ids decoded without special tokens.
    seed, max_new_tokens, pad_token_id, eos_token_id, adaptors, penalties, stop_strings
        As used; `adaptors` holds one `Adaptor`, or one per prompt. `seed` is None after `concat`
        of runs with several seeds.

    Notes
    -----
    `generation[i]`, with a slice or a list too, gathers rows. The repr shows the first ones.
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
    seed: int | None
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
    text: tuple[str, ...] | None = None
    prompt_text: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if self.kept is not None:
            self.kept = DrawnSets(*self.kept)
            self.kept.scales = scales_of(self.adaptors)
            self.kept.edited = self.penalties is not None

    def __len__(self) -> int:
        return int(self.tokens.shape[0])

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Self:
        index = plain(index)
        if isinstance(index, int):
            if not -len(self) <= index < len(self):
                raise IndexError(
                    f"Generation: index must be in [-N, N) with N = {len(self)}, got {index}"
                )
            index = [index]
        rows = torch.arange(len(self), device=self.tokens.device)
        return self.select(rows[list(index) if isinstance(index, Sequence) else index])

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

    @classmethod
    def concat(cls, parts: Sequence[Self]) -> Self:
        """Lay runs one after the other: their prompts and their rows, in order.

        They may differ in seed, length cap and adaptor; end and pad tokens must be equal, and
        optional fields are in all parts or in none.
        """
        out: Self = concat(list(parts))
        return out

    def select(self, index: Tensor) -> Self:
        """Gather rows; the prompts stay as they are."""
        out = self._map(lambda name, x: x[index] if name not in _PER_PROMPT else x)
        if self.text is not None:
            rows = torch.arange(len(self), device=index.device)[index].tolist()
            out.text = tuple(self.text[i] for i in rows)
        if self.kept is None:
            return out
        return dataclasses.replace(out, kept=of_strings(self.kept, index, len(self)))

    def to(self, device: str | torch.device) -> Self:
        """Move all tensors."""
        moved = self._map(lambda name, x: x.to(device))
        if self.kept is None:
            return moved
        return dataclasses.replace(moved, kept=self.kept.to(device))

    def _map(self, fn: Any) -> Self:
        changed = {
            f.name: fn(f.name, value)
            for f in dataclasses.fields(self)
            if isinstance(value := getattr(self, f.name), Tensor)
        }
        return dataclasses.replace(self, **changed)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the run to one file, which appears under its name only when it is complete.

        Parameters
        ----------
        path : str or path
            ".parquet", or without a suffix: a row per string, the run's metadata in the footer; all
            that `load` needs. Needs pyarrow. ".jsonl": the columns of `to_dict`, an object per
            line, for other programs.
        """
        target = Path(path)
        if target.suffix == ".jsonl":
            write_lines(self, target)
        elif target.suffix in ("", ".parquet"):
            write_generation(self, Generation, target)
        else:
            raise ValueError(
                f"Generation.save: path must end in .parquet or .jsonl, got {target.name}"
            )

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Generation:
        """Read a file that `save` wrote; every field comes back bit for bit, on the CPU."""
        out: Generation = read_generation(Generation, Path(path))
        return out


_PER_PROMPT = frozenset({"input_ids", "attention_mask", "prompt_ids"})


def sequence_id(prompt_id: Tensor, draw: Tensor) -> Tensor:
    """Random-number sequence of a string, int64: prompt_id · 2^32 + draw."""
    return prompt_id * 2**32 + draw
