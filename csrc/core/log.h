// Natural logarithms in float64 from IEEE + - * / and bit operations alone: no libm and no fma, so
// that every host, CUDA and eager torch give the same bits (libm's and CUDA's differ in the last).
//
// log_core(f, k, low) = k ln 2 + ln(1 + f) + low for 1 + f in [sqrt(1/2), sqrt(2)).
// With s = f / (2 + f), that is s (2 + f) = f, and R(z) = 2 (atanh(s)/s - 1) = 2z/3 + 2z^2/5 + ...:
//
//   ln(1 + f) = 2 atanh(s) = f - (f^2/2 - s (f^2/2 + R(s^2)))
//
// The leading f is exact and only the small bracket is rounded. R: eight minimax coefficients on
// [0, 0.02944] (Remez exchange on the absolute error, each rounded to float64 before the next is
// fitted), 1.8e-20. kLn2Hi has 41 bits, so k * kLn2Hi is exact for every exponent.
// Within 1 ulp of the true logarithm: swept in tests/test_exact_math.py.
#pragma once

#include "core/hd.h"

namespace aligndec::core {

struct Log64 {
  static constexpr double kLn2Hi = 0x1.62e42fefa3p-1;
  static constexpr double kLn2Lo = 0x1.3de6af278ece6p-42;
  static constexpr double kR1 = 0x1.5555555555555p-1;
  static constexpr double kR2 = 0x1.9999999999d11p-2;
  static constexpr double kR3 = 0x1.24924924397f8p-2;
  static constexpr double kR4 = 0x1.c71c724b66e7ep-3;
  static constexpr double kR5 = 0x1.745ce1c8cd261p-3;
  static constexpr double kR6 = 0x1.3b20247e893a4p-3;
  static constexpr double kR7 = 0x1.0f67447f5f15dp-3;
  static constexpr double kR8 = 0x1.0f0dcf6269f06p-3;
  static constexpr int64_t kSqrtHalf = 0x3fe6a09e667f3bcd;  // bits of sqrt(1/2)
  static constexpr int64_t kInfinity = 0x7ff0000000000000;
  static constexpr int64_t kNaN = 0x7ff8000000000000;
  static constexpr int64_t kSmallestNormal = 0x0010000000000000;
};

ALIGNDEC_HD double log_core(double f, double k, double low) {
  using K = Log64;
  const double s = f / (2.0 + f);
  const double z = s * s;
  double r = z * K::kR8 + K::kR7;
  r = z * r + K::kR6;
  r = z * r + K::kR5;
  r = z * r + K::kR4;
  r = z * r + K::kR3;
  r = z * r + K::kR2;
  r = z * r + K::kR1;
  r = z * r;
  const double half = 0.5 * f * f;
  return k * K::kLn2Hi - ((half - (s * (half + r) + low)) - f);
}

// ln x + correction + exponent * ln 2 for the positive normal x with these bits, x = 2^k (1 + f).
ALIGNDEC_HD double log_split(int64_t bits, double exponent, double correction) {
  using K = Log64;
  const int64_t shift = (bits - K::kSqrtHalf) >> 52;
  const double f = bit_cast<double>(bits - shift * K::kSmallestNormal) - 1.0;
  const double k = static_cast<double>(shift) + exponent;
  return log_core(f, k, k * K::kLn2Lo + correction);
}

// ln x. -inf at +-0, NaN below 0 and at NaN, +inf at +inf; subnormals count; ln 1 is +0.
ALIGNDEC_HD double log_positive(double x) {
  using K = Log64;
  const int64_t bits = bit_cast<int64_t>(x);
  if (x == 0.0) return -bit_cast<double>(K::kInfinity);
  if (bits < 0 || bits > K::kInfinity) return bit_cast<double>(K::kNaN);
  if (bits == K::kInfinity) return x;
  if (bits < K::kSmallestNormal) return log_split(bit_cast<int64_t>(x * 0x1p54), -54.0, 0.0);
  return log_split(bits, 0.0, 0.0);
}

// ln(1 + x) on (-1, 0]: -inf at -1, NaN outside and at NaN; +0 at +-0. Above sqrt(1/2) - 1 the core
// takes x as it is; below, what rounding took from 1 + x comes back as lost / (1 + x).
ALIGNDEC_HD double log1p_negative(double x) {
  using K = Log64;
  if (!(x >= -1.0 && x <= 0.0)) return bit_cast<double>(K::kNaN);
  const double u = 1.0 + x;
  if (u == 0.0) return -bit_cast<double>(K::kInfinity);
  const int64_t bits = bit_cast<int64_t>(u);
  if (bits >= K::kSqrtHalf) return log_core(x, 0.0, 0.0);
  return log_split(bits, 0.0, (x - (u - 1.0)) / u);
}

}  // namespace aligndec::core
