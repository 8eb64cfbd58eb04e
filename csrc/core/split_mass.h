// Masses by float32 steps alone, for devices on which float64 is dear: the same integers as
// weight_at and gap_of give, each in two halves (swept in tests/test_exact_math.py).
//
// A half is a float h of [2^23, 2^24], where floats are the integers, so that its bits are those of
// 2^23 plus the half: integer sums of bits are sums of halves. For a value v = a b in units of u,
//   high = floor(v / (2^k u)),   low = RNE(v / u - 2^k high)
// each by one fused step: v / u - 2^k high lies in [0, 2^k], so rounding to an integer is that of
// v.
#pragma once

#include <cstdint>

#include "core/exp.h"
#include "core/fixed_point.h"
#include "core/gap_moments.h"
#include "core/hd.h"

namespace aligndec::core {

constexpr float kWhole = 0x1p23f;
constexpr uint32_t kWholeBits = 0x4b000000;
constexpr int kLowHalf = 22;       // bits of the low half of a mass
constexpr int kMostHalves = 1023;  // that a word can add up

struct Halves {
  float high, low;

  ALIGNDEC_HD uint32_t high_word() const { return bit_cast<uint32_t>(high) - kWholeBits; }
  ALIGNDEC_HD uint32_t low_word() const { return bit_cast<uint32_t>(low) - kWholeBits; }
  ALIGNDEC_HD uint64_t mass() const {
    return (static_cast<uint64_t>(high_word()) << kLowHalf) + low_word();
  }
};

// The halves of a b in units of u, where a b / (2^kLow u) = scaled b.
template <int kLow>
ALIGNDEC_HD Halves halves_of(float scaled, float b) {
  constexpr float kPower = static_cast<float>(1 << kLow);
  const float high = fma32_down(scaled, b, kWhole);
  const float rest = fma32(high, -kPower, kPower * kWhole + kWhole);  // 2^23 - 2^k floor, exact
  return {high, fma32(scaled, b * kPower, rest)};
}

// exp32(t) in units of 2^-21, from which the halves of W and E follow.
constexpr int kScaledWeight = 43 - kLowHalf;
ALIGNDEC_HD float scaled_weight(float t) { return exp32_times_power<kScaledWeight>(t); }
ALIGNDEC_HD Halves mass_halves(float scaled) { return halves_of<kLowHalf>(scaled, 1.0f); }
ALIGNDEC_HD Halves entropy_halves(float scaled, float t) { return halves_of<kLowHalf>(scaled, -t); }

// A sum of halves: up to kMostHalves at a time in words.
struct HalvesSum {
  uint32_t high = 0, low = 0;

  ALIGNDEC_HD void add(const Halves& h) {
    high += bit_cast<uint32_t>(h.high);
    low += bit_cast<uint32_t>(h.low);
  }
  // The sum, `added` halves of it.
  ALIGNDEC_HD uint64_t total(uint32_t added) const {
    const uint32_t whole = added * kWholeBits;
    return (static_cast<uint64_t>(high - whole) << kLowHalf) + (low - whole);
  }
};

// Moments of gaps below the maximum: the sums that gap_of's add up to.
struct GapSums {
  static constexpr int kLow = 12;
  uint64_t count = 0, high = 0, low = 0, high_high = 0, high_low = 0, low_low = 0;

  // gap in [-kSigmaRange, 0]
  ALIGNDEC_HD void add(float gap) {
    const Halves h = halves_of<kLow>(-gap, 0x1p12f);
    const uint64_t a = h.high_word(), b = h.low_word();
    ++count;
    high += a;
    low += b;
    high_high += a * a;
    high_low += a * b;
    low_low += b * b;
  }
  ALIGNDEC_HD GapMoments moments() const {
    const u128 square = (static_cast<u128>(high_high) << (2 * kLow)) +
                        (static_cast<u128>(high_low) << (kLow + 1)) + low_low;
    return {count, (high << kLow) + low, static_cast<uint64_t>(square) & 0xffffffffu,
            static_cast<uint64_t>(square >> 32)};
  }
};

}  // namespace aligndec::core
