// exp32: e^t on [-60, 0] as one fixed sequence of float32 operations, so that AVX-512, AVX2, scalar
// code and CUDA give the same bits.
//
//   s = fma(t, LOG2E, MAGIC)      t / ln 2 rounded to an integer n, now in the low bits of s
//   n = s - MAGIC                 n as a float, -87 <= n <= 0, exact
//   r = fma(n, -LN2_HI, t)        exact
//   r = fma(n, -LN2_LO, r)        |r| <= ln 2 / 2 and a little, one rounding
//   q = C7; q = fma(q, r, Ck)     for k = 6, 5, 4, 3, 2
//   y = fma(r * r, q, r) + 1      e^r - 1 is rounded finer than the sum that follows
//   bits(y) + (bits(s) << 23)     times 2^n: MAGIC has nine zero low bits, so the shift leaves n
//
// Source: Cody and Waite's two-constant reduction; the coefficients are the minimax ones for the
// relative error (Remez exchange, each rounded to float32 before the next is fitted, 1 + r kept
// exact): 4.2e-10. This form is monotone and within 8.2e-8 of e^t over every float in [-60, 0], and
// exp32(0) = 1: swept in tests/test_exact_math.py. The shorter ones are not: ln 2 as one constant
// is 2.3e-7 off, and plain Horner down to the constant rounds relative to q ~ 1 while r steps
// finer, which inverts 2820 pairs of neighbours in (-1/4, 0). Not defined outside [-60, 0]: callers
// clamp, so -inf and NaN never enter.
#pragma once

#include "core/hd.h"

namespace aligndec::core {

struct Exp32 {
  static constexpr float kMin = -60.0f;
  static constexpr float kLog2E = 0x1.715476p+0f;
  static constexpr float kMagic = 0x1.8p+23f;
  static constexpr float kMinusLn2Hi = -0x1.62e43p-1f;
  static constexpr float kMinusLn2Lo = 0x1.05c61p-29f;
  static constexpr float kC7 = 0x1.6b5602p-13f;
  static constexpr float kC6 = 0x1.6d40d4p-10f;
  static constexpr float kC5 = 0x1.113734p-7f;
  static constexpr float kC4 = 0x1.5554f2p-5f;
  static constexpr float kC3 = 0x1.55553cp-3f;
  static constexpr float kC2 = 0.5f;
  static constexpr float kOne = 1.0f;
  static constexpr int kShift = 23;
};

// e^t 2^kPower, kPower in [0, 30]: the power of two costs nothing, because n + kPower comes out of
// the first step as n does. (t / ln 2 is never halfway between integers, so its rounding does not
// depend on kPower.)
template <int kPower>
ALIGNDEC_HD float exp32_times_power(float t) {
  using K = Exp32;
  constexpr float kMagic = K::kMagic + static_cast<float>(kPower);
  const float s = fma32(t, K::kLog2E, kMagic);
  const float n = s - kMagic;
  float r = fma32(n, K::kMinusLn2Hi, t);
  r = fma32(n, K::kMinusLn2Lo, r);
  float q = fma32(K::kC7, r, K::kC6);
  q = fma32(q, r, K::kC5);
  q = fma32(q, r, K::kC4);
  q = fma32(q, r, K::kC3);
  q = fma32(q, r, K::kC2);
  const float y = fma32(r * r, q, r) + K::kOne;
  return bit_cast<float>(bit_cast<uint32_t>(y) + (bit_cast<uint32_t>(s) << K::kShift));
}

ALIGNDEC_HD float exp32(float t) { return exp32_times_power<0>(t); }

}  // namespace aligndec::core
