"""Counter-based random bits: Philox4x32-10, the eager twin of ``csrc/core/philox.h``.

A draw is a pure function of (seed, sequence, position, stream): it changes neither with the batch,
nor the order, nor the device. 64-bit words live in int64 tensors that hold the unsigned bits (two's
complement): compare and shift them as unsigned numbers.

Key: (low, high) word of the seed mod 2^64. Counter: (low, high) word of the sequence id, position
mod 2^32, stream. Output words o0 .. o3: ``r = o0 | o1 << 32``, ``r2 = o2 | o3 << 32``.

Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor

__all__ = [
    "CANDIDATE",
    "CHAIN",
    "REJECTION",
    "RESAMPLING",
    "RESCORE",
    "ROLLOUT",
    "SIR",
    "SUFFIX",
    "SUFFIX_TOKENS",
    "TOKEN",
    "XTC",
    "bits_from_uniform",
    "child_seed",
    "multiply_high",
    "philox",
    "signed64",
    "uniform",
]

TOKEN: Final = 0
CHAIN: Final = 1
RESCORE: Final = 3
REJECTION: Final = 4
ROLLOUT: Final = 5
CANDIDATE: Final = 6
SIR: Final = 7
RESAMPLING: Final = 8
SUFFIX: Final = 9
SUFFIX_TOKENS: Final = 10
XTC: Final = 11

_MASK32 = 0xFFFFFFFF
_MUL = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)


def signed64(seed: int) -> int:
    """Return `seed` mod 2^64 as the signed number with the same 64 bits."""
    return ((seed + (1 << 63)) & ((1 << 64) - 1)) - (1 << 63)


def philox(
    seed: int | Tensor,
    sequence_ids: int | Tensor,
    positions: int | Tensor,
    stream: int,
) -> tuple[Tensor, Tensor]:
    """Return the 128 random bits of one use.

    Parameters
    ----------
    seed : int or Tensor
        Any Python int, taken mod 2^64; or int64 bits, one seed per draw.
    sequence_ids : int or Tensor
        64-bit id of the string, ``prompt_id * 2^32 + draw``.
    positions : int or Tensor
        Step, taken mod 2^32.
    stream : int
        What the number is for: one of the constants of this module.

    Returns
    -------
    tuple of Tensor
        ``(r, r2)``, int64 that hold the unsigned bits, of the broadcast shape.
    """
    device = next(
        (v.device for v in (seed, sequence_ids, positions) if isinstance(v, Tensor)), None
    )
    key, sequence = _bits(seed, device), _bits(sequence_ids, device)
    position = _bits(positions, device)
    k0, k1 = key & _MASK32, (key >> 32) & _MASK32
    c0, c1 = sequence & _MASK32, (sequence >> 32) & _MASK32
    c2, c3 = position & _MASK32, torch.full_like(position, stream)
    for _ in range(10):
        (high0, low0), (high1, low1) = _multiply(c0, _MUL[0]), _multiply(c2, _MUL[1])
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0, k1 = (k0 + _WEYL[0]) & _MASK32, (k1 + _WEYL[1]) & _MASK32
    return c0 | (c1 << 32), c2 | (c3 << 32)


def uniform(r: Tensor) -> Tensor:
    """Return the 53 leading bits of `r` as float64 in [0, 1)."""
    # The mask turns torch's arithmetic shift into a logical one.
    return ((r >> 11) & ((1 << 53) - 1)).double() * 2.0**-53


def bits_from_uniform(u: Tensor) -> Tensor:
    """Return ``floor(u * 2^64)`` as int64 bits for float64 `u` in [0, 1).

    ``uniform(bits_from_uniform(u))`` is `u` cut to a multiple of 2^-53.
    """
    # Two halves, both exact: the whole would pass the range of int64.
    scaled = u.double() * 2.0**32
    high = scaled.floor()
    low = ((scaled - high) * 2.0**32).floor()
    return (high.long() << 32) | low.long()


def multiply_high(bits: Tensor, factor: int | Tensor) -> Tensor:
    """Return ``floor(bits * factor / 2^64)`` for unsigned 64-bit `bits`, 0 <= factor < 2^63.

    With `factor` N it is a uniform choice from N things (int64, broadcast).
    """
    a0, a1 = bits & _MASK32, (bits >> 32) & _MASK32
    b0, b1 = factor & _MASK32, factor >> 32
    # Products of 32-bit halves may pass the sign bit: their own halves are right all the same.
    low, m1, m2 = a0 * b0, a1 * b0, a0 * b1
    carry = ((low >> 32) & _MASK32) + (m1 & _MASK32) + (m2 & _MASK32)
    return a1 * b1 + ((m1 >> 32) & _MASK32) + (m2 >> 32) + (carry >> 32)


def child_seed(
    seed: int | Tensor, sequence_ids: int | Tensor, positions: int | Tensor, stream: int
) -> Tensor:
    """Return the seed of a family of draws below one step: `r` of that step and stream."""
    return philox(seed, sequence_ids, positions, stream)[0]


def _bits(value: int | Tensor, device: torch.device | None) -> Tensor:
    """Return int64 bits of an integer tensor or of any Python int."""
    if isinstance(value, Tensor):
        return value.long()
    return torch.tensor(signed64(value), dtype=torch.int64, device=device)


def _multiply(a: Tensor, b: int) -> tuple[Tensor, Tensor]:
    """Return (high, low) 32-bit words of ``a * b``."""
    # 16-bit limbs of `a` keep every partial product clear of the sign bit.
    low = (a & 0xFFFF) * b
    middle = (a >> 16) * b + (low >> 16)
    return middle >> 16, ((middle & 0xFFFF) << 16) | (low & 0xFFFF)
