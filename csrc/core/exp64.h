// e^t in float64 for t <= 0 from IEEE + - * / and bit operations alone: no libm and no fma, so that
// every host, CUDA and eager torch give the same bits.
//
//   n = RNE(t / ln 2)                   by adding and taking away 1.5 2^52
//   hi = t - n LN2_HI, lo = n LN2_LO    LN2_HI has 41 bits, so hi is exact for every n; x = hi - lo
//   c = x - x^2 P(x^2)                  P: minimax on [0, (ln 2 / 2)^2] of the even part
//   e^x = 1 + (hi - (lo - x c / (2 - c)))
//
// Source: form and coefficients of fdlibm (Sun Microsystems, 1993). Within 1 ulp: swept in
// tests/test_exact_math.py. 0 below -708 (-inf included), where the result would not be normal; not
// defined for t > 0 and NaN.
#pragma once

#include "core/hd.h"
#include "core/log.h"

namespace aligndec::core {

struct Exp64 {
  static constexpr double kMin = -708.0;
  static constexpr double kLog2E = 0x1.71547652b82fep+0;
  static constexpr double kMagic = 0x1.8p52;
  static constexpr double kP1 = 0x1.555555555553ep-3;
  static constexpr double kP2 = -0x1.6c16c16bebd93p-9;
  static constexpr double kP3 = 0x1.1566aaf25de2cp-14;
  static constexpr double kP4 = -0x1.bbd41c5d26bf1p-20;
  static constexpr double kP5 = 0x1.6376972bea4d0p-25;
};

ALIGNDEC_HD double exp64(double t) {
  using K = Exp64;
  const bool lives = t >= K::kMin;
  const double in_range = lives ? t : 0.0;
  const double shifted = in_range * K::kLog2E + K::kMagic;
  const double n = shifted - K::kMagic;
  const double hi = in_range - n * Log64::kLn2Hi, lo = n * Log64::kLn2Lo;
  const double x = hi - lo;
  const double z = x * x;
  double p = z * K::kP5 + K::kP4;
  p = z * p + K::kP3;
  p = z * p + K::kP2;
  p = z * p + K::kP1;
  const double c = x - z * p;
  const double y = 1.0 + (hi - (lo - x * c / (2.0 - c)));
  // MAGIC's low bits are zero: the shift leaves n in the exponent field.
  const double scaled = bit_cast<double>(bit_cast<int64_t>(y) +
                                         static_cast<int64_t>(bit_cast<uint64_t>(shifted) << 52));
  return lives ? scaled : 0.0;
}

}  // namespace aligndec::core
