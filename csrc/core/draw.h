// Exact integer steps between masses, thresholds and random bits.
#pragma once

#include "core/hd.h"

namespace aligndec::core {

// floor(u * 2^64) for u in [0, 1): the product is exact, the conversion truncates.
ALIGNDEC_HD uint64_t bits_from_uniform(double u) { return static_cast<uint64_t>(u * 0x1p64); }

// floor(r * mass / 2^64), below mass: the target that the first inclusive prefix sum must exceed.
ALIGNDEC_HD uint64_t draw_target(uint64_t r, uint64_t mass) { return mul_hi_u64(r, mass); }

// ceil(p * mass), exact, for p in [0, 1]: p = M * 2^-s, M < 2^53, s >= 52, a 128-bit product.
ALIGNDEC_HD uint64_t ceil_scaled(double p, uint64_t mass) {
  const uint64_t bits = bit_cast<uint64_t>(p);
  const int exponent = static_cast<int>(bits >> 52);
  const uint64_t fraction = bits & 0xfffffffffffffull;
  const uint64_t m = exponent == 0 ? fraction : fraction | 0x10000000000000ull;
  const int s = 1075 - (exponent == 0 ? 1 : exponent);
  const uint64_t high = mul_hi_u64(m, mass), low = m * mass;
  if (s >= 128) return (high | low) != 0;  // 0 < p * mass < 1, or nothing at all
  if (s >= 64) {
    const int shift = s - 64;
    const uint64_t rest = low | (high & ((1ull << shift) - 1));
    return (high >> shift) + (rest != 0);
  }
  const uint64_t rest = low & ((1ull << s) - 1);
  return (high << (64 - s) | low >> s) + (rest != 0);
}

}  // namespace aligndec::core
