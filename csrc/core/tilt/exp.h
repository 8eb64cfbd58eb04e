// The exponential of the tilting kernels, with e^x - 1 and e^x - 1 - x to relative precision.
#pragma once

#include <cmath>

#include "core/hd.h"

namespace aligndec::core {

// e^x = 2^n (1 + r + r^2 Q(r)) with n = round(x / ln 2); Q: Taylor to 3e-17 for |r| <= ln 2 / 2.
// kLn2Hi has 32 trailing zero bits less than 53, so n * kLn2Hi is exact without an fma.
struct TiltExp {
  static constexpr double kMin = -708.0, kMax = 709.0;
  static constexpr double kLog2E = 0x1.71547652b82fep+0;
  static constexpr double kMagic = 0x1.8p+52;
  static constexpr double kLn2Hi = 0x1.62e42fefap-1;
  static constexpr double kLn2Lo = 0x1.cf79abc9e3b3ap-40;
  static constexpr int kTerms = 12;
  // 1/13!, 1/12!, ... 1/2!
  static constexpr double kQ[kTerms] = {
      1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
      1.0 / 5040,       1.0 / 720,       1.0 / 120,      1.0 / 24,      1.0 / 6,      0.5};
};

// e^x, and where |x| <= ln 2 / 2 (`small`) also e^x - 1 = em and e^x - 1 - x = curve, to relative
// precision; x is taken to the nearest end of [kMin, kMax].
struct TiltExpParts {
  double e, em, curve;
  bool small;

  ALIGNDEC_HD explicit TiltExpParts(double any) {
    using K = TiltExp;
    constexpr double kQ[] = {K::kQ[0], K::kQ[1], K::kQ[2], K::kQ[3], K::kQ[4],  K::kQ[5],
                             K::kQ[6], K::kQ[7], K::kQ[8], K::kQ[9], K::kQ[10], K::kQ[11]};
    const double x = fmin(fmax(any, K::kMin), K::kMax);
    const double shifted = fma64(x, K::kLog2E, K::kMagic), n = shifted - K::kMagic;
    const double r = fma64(n, -K::kLn2Lo, fma64(n, -K::kLn2Hi, x));
    double q = kQ[0];
    ALIGNDEC_UNROLL
    for (int i = 1; i < K::kTerms; ++i) q = fma64(q, r, kQ[i]);
    curve = r * r * q;
    em = r + curve;
    e = bit_cast<double>(bit_cast<uint64_t>(1.0 + em) + (bit_cast<uint64_t>(shifted) << 52));
    small = n == 0.0;
  }
};

// 0 below kMin: a floor there would look like a far slower decay.
ALIGNDEC_HD double tilt_exp(double x) { return x > TiltExp::kMin ? TiltExpParts(x).e : 0.0; }

}  // namespace aligndec::core
