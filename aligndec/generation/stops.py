"""Stop strings: where the text of a string first holds one of them, found token by token.

The text is that of the tokens in bytes (UTF-8), so that a character may be split between tokens.
For each stop string a table says of every state (how many of its bytes the text ends with: Knuth,
Morris and Pratt 1977) and every token what the next state is, and whether the stop string ends in
that token. A step of B strings is one look into the tables.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from aligndec.generation.prepare import Prepared

__all__ = ["Stops", "as_strings", "stops", "token_bytes"]

_PREFIX = "abcdef"  # tokenizers treat the start of a text in a way of its own
_LONGEST = 2**14  # bytes of a stop string: its states and a sign fit into 16 bits
_KNOWN: WeakKeyDictionary[Any, list[bytes]] = WeakKeyDictionary()


@dataclass
class Stops:
    """Where B strings stand in each of S stop strings.

    `table` int16 [Σ L, V] holds the tables of all stop strings, L states each, the first at `first`
    int64 [S]: the next state, or -1 minus it where the stop string ends. `state` int64 [B, S];
    `stopped` bool [B], of those that a stop string ended.
    """

    table: Tensor
    first: Tensor
    state: Tensor
    stopped: Tensor

    def append(self, token: Tensor) -> Tensor:
        """Read one more token of each string, int64 [B]; return whose stop string ended, [B]."""
        found = self.table[self.first + self.state, token[:, None]].long()
        self.state = torch.where(found < 0, -1 - found, found)
        return (found < 0).any(1)

    def select(self, index: Tensor) -> Stops:
        """Gather strings."""
        return replace(self, state=self.state[index], stopped=self.stopped[index])

    def to(self, device: torch.device) -> Stops:
        """Return the same on `device`."""
        return Stops(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


def as_strings(stop_strings: Any) -> tuple[str, ...]:
    """Check `generate(stop_strings=)`: a string, or several; None is ()."""
    listed = [stop_strings] if isinstance(stop_strings, str) else list(stop_strings or ())
    for text in listed:
        if not isinstance(text, str):
            raise TypeError(f"generate: stop_strings must be a str or several, got {text!r:.80}")
        if not 0 < len(text.encode()) <= _LONGEST:
            raise ValueError(
                f"generate: stop_strings must be of 1 to {_LONGEST} bytes, got {text[:40]!r}"
            )
    return tuple(dict.fromkeys(listed))


def stops(stop_strings: Sequence[str], tokenizer: Any, given: Prepared) -> Stops | None:
    """Return where the prompts [P] stand; a stop string may begin in the prompt."""
    if not stop_strings:
        return None
    if tokenizer is None:
        raise ValueError(
            "generate: tokenizer must be given with stop_strings (it knows the texts of tokens), "
            "got None"
        )
    texts = _padded(token_bytes(tokenizer, given.lm.vocab_size))
    patterns = [text.encode() for text in stop_strings]
    lengths = [len(pattern) for pattern in patterns]
    first = torch.tensor([0, *lengths[:-1]]).cumsum(0)
    table = torch.from_numpy(np.concatenate([_table(p, *texts) for p in patterns]))
    rows = len(given.ids)
    state = torch.zeros(rows, len(patterns), dtype=torch.int64)
    out = Stops(table, first, state, torch.zeros(rows, dtype=torch.bool))
    # More tokens than bytes cannot have a part in it.
    recent = slice(-max(lengths), None)
    for token, there in zip(given.ids[:, recent].t(), given.mask[:, recent].t(), strict=True):
        out.append(token)
        out.state *= there[:, None].bool()
    return out


def token_bytes(tokenizer: Any, vocab: int) -> list[bytes]:
    """Return what each of `vocab` tokens adds to a text; ids that the tokenizer lacks add nothing.

    As transformers' `StopStringCriteria` does, a token is read behind other text. Parts of a
    character, which read as U+FFFD, are looked up in the alphabets of byte-level tokenizers.
    """
    try:
        known = _KNOWN.get(tokenizer)
    except TypeError:  # cannot be hashed, or not be referred to weakly
        return _token_bytes(tokenizer, vocab)
    if known is None or len(known) != vocab:
        known = _KNOWN[tokenizer] = _token_bytes(tokenizer, vocab)
    return known


def _token_bytes(tokenizer: Any, vocab: int) -> list[bytes]:
    out = [b""] * vocab
    if not hasattr(tokenizer, "convert_tokens_to_string"):
        for i in range(min(vocab, len(tokenizer))):
            out[i] = tokenizer.decode([i]).encode()
        return out
    ids = tokenizer(_PREFIX, add_special_tokens=False)["input_ids"]
    base = tokenizer.convert_ids_to_tokens(ids)
    letters = _byte_of_letter()
    for token, i in tokenizer.get_vocab().items():
        if not 0 <= i < vocab:
            continue
        text = tokenizer.convert_tokens_to_string([*base, token])
        text = text[text.index(_PREFIX) + len(_PREFIX) :]
        out[i] = text.encode("utf-8", "surrogatepass")
        if "\ufffd" in text:
            fallback = re.fullmatch(r"<0x([0-9A-Fa-f]{2})>", token)
            if fallback:
                out[i] = bytes([int(fallback[1], 16)])
            elif all(letter in letters for letter in token):
                out[i] = bytes(letters[letter] for letter in token)
    return out


def _byte_of_letter() -> dict[str, int]:
    """Return the alphabet of GPT-2's byte-level tokenizer (Radford et al. 2019).

    Bytes that print stand for themselves, the others for the letters from 256 on, in order.
    """
    printing = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printing]
    out = {chr(byte): byte for byte in printing}
    return out | {chr(256 + i): byte for i, byte in enumerate(others)}


def _padded(texts: list[bytes]) -> tuple[Any, Any, Any]:
    """Return bytes [V, M], the longest texts first, their lengths, and whose they are."""
    lengths = np.array([len(text) for text in texts])
    order = np.argsort(-lengths, kind="stable")
    codes = np.zeros((len(texts), max(1, lengths.max())), dtype=np.uint8)
    for row, i in enumerate(order):
        codes[row, : lengths[i]] = np.frombuffer(texts[i], dtype=np.uint8)
    return codes, lengths[order], order


def _table(pattern: bytes, codes: Any, lengths: Any, order: Any) -> Any:
    """Return the table int16 [L, V] of one stop string."""
    size = len(pattern)
    # What follows a state [L + 1] and a byte; the state L, a whole match, goes on as its longest
    # border does.
    follow = np.zeros((size + 1, 256), dtype=np.int16)
    follow[0, pattern[0]] = 1
    border: Any = 0
    for state in range(1, size + 1):
        follow[state] = follow[border]
        if state < size:
            follow[state, pattern[state]] = state + 1
            border = follow[border, pattern[state]]
    now: Any = np.broadcast_to(np.arange(size, dtype=np.int16), (len(codes), size)).copy()
    ended = np.zeros(now.shape, dtype=bool)
    for column in range(codes.shape[1]):
        longer = int((lengths > column).sum())
        now[:longer] = follow[now[:longer], codes[:longer, column, None]]
        ended[:longer] |= now[:longer] == size
    # A token may end with the whole match: as a state it is its longest border.
    now = np.where(now == size, border, now)
    out = np.empty((size, len(codes)), dtype=np.int16)
    out[:, order] = np.where(ended, -1 - now, now).T
    return out
