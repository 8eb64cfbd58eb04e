// Fixed-point weights: mass is counted in units of 2^-43 of the heaviest token, in unsigned 64-bit
// integers, so that every sum is exact and does not depend on order, lanes, threads or device.
#pragma once

#include <cstdint>

#include "core/hd.h"
#include "core/log.h"

namespace aligndec::core {

__extension__ using u128 = unsigned __int128;

constexpr double kMassUnit = 0x1p-43;
constexpr uint64_t kMassOne = uint64_t{1} << 43;

// Adding a value of [0, 1] to this double leaves RNE(value * 2^43) in its low bits: the spacing of
// doubles in [512, 1024) is 2^-43.
constexpr double kMassMagic = 768.0;

// Below this scaled logit both the weight and the entropy term round to 0: exp(-36) * 36 * 2^43 <
// 1/2.
constexpr float kNoMass = -36.0f;

// RNE(value * 2^43) for a value in [0, 1].
ALIGNDEC_HD uint64_t to_mass(double value) {
  return bit_cast<uint64_t>(value + kMassMagic) - bit_cast<uint64_t>(kMassMagic);
}

// ln of a mass, with the unit taken out: log(0) = -inf.
ALIGNDEC_HD double log_mass(uint64_t mass) {
  return log_positive(static_cast<double>(mass) * kMassUnit);
}

// E / W: the mean of -t under the weights.
ALIGNDEC_HD double mass_ratio(uint64_t numerator, uint64_t denominator) {
  return static_cast<double>(numerator) / static_cast<double>(denominator);
}

// A logit's place under the row maximum, scaled: the argument of exp32. scale_high + scale_low = 1
// / tau to twice float32's precision. Lies in [-60, 0]; -inf is taken as the lowest.
struct Scale {
  bool identity;  // tau = 1
  float high, low;
};

constexpr float kLowestGap = -131072.0f;
constexpr float kLowestLogit = -60.0f;

ALIGNDEC_HD float scaled_gap(float gap, const Scale& scale) {
  float t = gap;
  if (!scale.identity) {
    const float d = gap > kLowestGap ? gap : kLowestGap;
    t = fma32(d, scale.high, d * scale.low);
  }
  return t > kLowestLogit ? t : kLowestLogit;
}

}  // namespace aligndec::core
