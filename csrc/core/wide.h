// Sums beyond 64 bits: squares of weights (p_less) and terms of an entropy (top_h), exact, so that
// they do not depend on order, lanes, threads or device.
#pragma once

#include <cstdint>

#include "core/exp64.h"
#include "core/fixed_point.h"
#include "core/hd.h"
#include "core/log.h"

namespace aligndec::core {

__extension__ using i128 = __int128;

ALIGNDEC_HD double wide_to_double(u128 v) {
  return static_cast<double>(static_cast<uint64_t>(v >> 64)) * 0x1p64 +
         static_cast<double>(static_cast<uint64_t>(v));
}

ALIGNDEC_HD u128 squared(uint64_t mass) { return static_cast<u128>(mass) * mass; }

// ln of a sum of squared masses, the unit taken out.
ALIGNDEC_HD double log_squares(u128 squares) {
  return log_positive(wide_to_double(squares) * 0x1p-86);
}

// (mass / 2^43)^order, for orders other than 2.
ALIGNDEC_HD double mass_power(uint64_t mass, double order) {
  return mass == 0 ? 0.0 : exp64(order * log_mass(mass));
}

// What survivors contribute to the entropy of their law, -p ln p times their mass, in units of
// 2^-86: E + W l, l = ln of their mass to 43 fractional bits.
struct EntropyTerms {
  int64_t log_mass;

  ALIGNDEC_HD explicit EntropyTerms(uint64_t mass)
      : log_mass(static_cast<int64_t>(to_mass(core::log_mass(mass)))) {}
  // Where l >= 0 every token's term is >= 0 and a sum of terms is the term of the sums.
  ALIGNDEC_HD bool additive() const { return log_mass >= 0; }
  ALIGNDEC_HD u128 of(uint64_t mass, uint64_t entropy) const {
    const i128 term = (static_cast<i128>(entropy) << 43) + static_cast<i128>(mass) * log_mass;
    return term > 0 ? static_cast<u128>(term) : 0;
  }
};

// floor(p * value), exact, for p in (0, 1) and value < 2^112.
ALIGNDEC_HD u128 floor_scaled(double p, u128 value) {
  const uint64_t bits = bit_cast<uint64_t>(p), fraction = bits & 0xfffffffffffffull;
  const int exponent = static_cast<int>(bits >> 52);
  const uint64_t m = exponent == 0 ? fraction : fraction | 0x10000000000000ull;
  const int s = 1075 - (exponent == 0 ? 1 : exponent);  // p = m 2^-s, s >= 53
  const u128 low = static_cast<u128>(m) * static_cast<uint64_t>(value);
  const u128 high = static_cast<u128>(m) * static_cast<uint64_t>(value >> 64) + (low >> 64);
  if (s >= 192) return 0;
  if (s >= 64) return high >> (s - 64);
  return high << (64 - s) | static_cast<uint64_t>(low) >> s;
}

}  // namespace aligndec::core
