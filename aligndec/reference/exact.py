"""Eager twins of ``exp.h``, ``exp64.h`` and ``log.h`` of ``csrc/core``: the same bits.

Only IEEE ``+ - * /`` and bit operations, each a torch call of its own, so nothing can be
contracted, reordered or handed to a vendor's mathematics.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["exp32", "exp64", "fma32", "log", "log1p_negative"]

_LOG2_E = float.fromhex("0x1.715476p+0")
_MAGIC = float.fromhex("0x1.8p+23")
_MINUS_LN2 = (float.fromhex("-0x1.62e43p-1"), float.fromhex("0x1.05c61p-29"))
_EXP = tuple(
    float.fromhex(c)
    for c in (
        "0x1.6b5602p-13",
        "0x1.6d40d4p-10",
        "0x1.113734p-7",
        "0x1.5554f2p-5",
        "0x1.55553cp-3",
        "0x1p-1",
    )
)

_LN2_HI = float.fromhex("0x1.62e42fefa3p-1")
_LN2_LO = float.fromhex("0x1.3de6af278ece6p-42")
_LOG = tuple(
    float.fromhex(c)
    for c in (
        "0x1.0f0dcf6269f06p-3",
        "0x1.0f67447f5f15dp-3",
        "0x1.3b20247e893a4p-3",
        "0x1.745ce1c8cd261p-3",
        "0x1.c71c724b66e7ep-3",
        "0x1.24924924397f8p-2",
        "0x1.9999999999d11p-2",
        "0x1.5555555555555p-1",
    )
)
_EXP64_MAGIC = float.fromhex("0x1.8p+52")
_EXP64_LOG2_E = float.fromhex("0x1.71547652b82fep+0")
_EXP64 = tuple(
    float.fromhex(c)
    for c in (
        "0x1.6376972bea4d0p-25",
        "-0x1.bbd41c5d26bf1p-20",
        "0x1.1566aaf25de2cp-14",
        "-0x1.6c16c16bebd93p-9",
        "0x1.555555555553ep-3",
    )
)
_SQRT_HALF = 0x3FE6A09E667F3BCD
_INFINITY = 0x7FF0000000000000
_SMALLEST_NORMAL = 0x0010000000000000


def fma32(a: Tensor, b: Tensor | float, c: Tensor | float) -> Tensor:
    """Return ``a * b + c`` in float32 with one rounding.

    The product of two float32 is exact in float64. The sum is rounded to odd there (an inexact sum
    gets an odd last bit), after which rounding to float32 cannot round twice (Boldo and Melquiond,
    2008: 53 >= 24 + 2 bits suffice).

    Parameters
    ----------
    a : Tensor
        float32, any shape.
    b, c : Tensor or float
        float32 that broadcast with `a`; a float must be a float32 number.

    Returns
    -------
    Tensor
        float32.
    """
    product = a.double() * _double(b)
    addend = _double(c)
    total = product + addend
    # The exact error of the sum, for any order of magnitudes (Knuth's two-sum).
    back = total - product
    error = (product - (total - back)) + (addend - back)
    bits = total.view(torch.int64)
    # Towards the true value: up in magnitude if the error has the sign of the sum, else down.
    step = torch.where((error > 0) == (total > 0), 1, -1)
    inexact = (error != 0) & torch.isfinite(total) & ((bits & 1) == 0)
    odd = torch.where(inexact, bits + step, bits).view(torch.float64)
    return odd.float()


def exp32(t: Tensor) -> Tensor:
    """Return e^t for float32 `t` in [-60, 0], bit for bit as the kernels do.

    Monotone, within 1e-7 relative, exactly 1 at 0. Not defined outside [-60, 0].
    """
    n = fma32(t, _LOG2_E, _MAGIC) - _MAGIC
    r = fma32(n, _MINUS_LN2[0], t)
    r = fma32(n, _MINUS_LN2[1], r)
    q = torch.full_like(r, _EXP[0])
    for coefficient in _EXP[1:]:
        q = fma32(q, r, coefficient)
    y = fma32(r * r, q, r) + 1.0
    scale = n.to(torch.int32) * (1 << 23)
    return (y.view(torch.int32) + scale).view(torch.float32)


def exp64(t: Tensor) -> Tensor:
    """Return e^t for float64 `t` <= 0, bit for bit as the kernels do, within 1 ulp.

    0 below -708 (-inf included). Not defined for t > 0 and NaN.
    """
    lives = t >= -708.0
    t = torch.where(lives, t, 0.0)
    shifted = t * _EXP64_LOG2_E + _EXP64_MAGIC
    n = shifted - _EXP64_MAGIC
    hi, lo = t - n * _LN2_HI, n * _LN2_LO
    x = hi - lo
    z = x * x
    p = torch.full_like(z, _EXP64[0])
    for coefficient in _EXP64[1:]:
        p = z * p + coefficient
    c = x - z * p
    y = 1.0 + (hi - (lo - x * c / (2.0 - c)))
    scaled = (y.view(torch.int64) + (shifted.view(torch.int64) << 52)).view(torch.float64)
    return torch.where(lives, scaled, 0.0)


def log(x: Tensor) -> Tensor:
    """Return ln x in float64, bit for bit as the kernels do, within 1 ulp.

    ``-inf`` at 0, NaN below 0 and at NaN, ``+inf`` at ``+inf``.
    """
    x = x.double()
    bits = x.view(torch.int64)
    tiny = bits < _SMALLEST_NORMAL
    # Every operation stays in range on lanes that a later `where` overrides.
    scaled = torch.where(tiny, x * 2.0**54, x).view(torch.int64)
    safe = torch.where((bits > 0) & (bits < _INFINITY), scaled, _SMALLEST_NORMAL)
    out = _log_split(safe, torch.where(tiny, -54.0, 0.0).to(x), torch.zeros_like(x))
    out = torch.where(x == torch.inf, x, out)
    out = torch.where((x < 0) | torch.isnan(x), torch.nan, out)
    return torch.where(x == 0, -torch.inf, out)


def log1p_negative(x: Tensor) -> Tensor:
    """Return ln(1 + x) in float64 for `x` in (-1, 0], bit for bit as the kernels do, within 1 ulp.

    ``-inf`` at -1, NaN outside [-1, 0] and at NaN, ``+0`` at ``-0``.
    """
    x = x.double()
    inside = (x > -1.0) & (x <= 0.0)
    safe = torch.where(inside, x, 0.0)
    u = 1.0 + safe
    bits = u.view(torch.int64)
    direct = _log_core(safe, torch.zeros_like(safe), torch.zeros_like(safe))
    split = _log_split(bits, torch.zeros_like(safe), (safe - (u - 1.0)) / u)
    out = torch.where(bits >= _SQRT_HALF, direct, split)
    return torch.where(inside, out, torch.where(x == -1.0, -torch.inf, torch.nan).to(out))


def _double(value: Tensor | float) -> Tensor:
    """Return a float64 tensor, exact."""
    if isinstance(value, Tensor):
        return value.double()
    return torch.tensor(value, dtype=torch.float64)


def _log_core(f: Tensor, k: Tensor, low: Tensor) -> Tensor:
    """Return k ln 2 + ln(1 + f) + low; see log.h for the derivation."""
    s = f / (2.0 + f)
    z = s * s
    r = z * _LOG[0] + _LOG[1]
    for coefficient in _LOG[2:]:
        r = z * r + coefficient
    r = z * r
    half = 0.5 * f * f
    return k * _LN2_HI - ((half - (s * (half + r) + low)) - f)


def _log_split(bits: Tensor, exponent: Tensor, correction: Tensor) -> Tensor:
    """Return the logarithm of the positive normal number with these bits, plus the correction."""
    shift = (bits - _SQRT_HALF) >> 52
    f = (bits - shift * _SMALLEST_NORMAL).view(torch.float64) - 1.0
    k = shift.double() + exponent
    return _log_core(f, k, k * _LN2_LO + correction)
