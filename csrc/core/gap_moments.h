// The spread of a row's logits from exact integers, for top_n_sigma: float sums would depend on
// their order.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/fixed_point.h"
#include "core/hd.h"

namespace aligndec::core {

// Gaps below the maximum in units of 2^-24, for the standard deviation of the logits.
constexpr float kSigmaRange = 1024.0f;

struct GapMoments {
  uint64_t count = 0, sum = 0, square_low = 0, square_high = 0;  // square = high 2^32 + low

  ALIGNDEC_HD void add(const GapMoments& o) {
    count += o.count;
    sum += o.sum;
    square_low += o.square_low;
    square_high += o.square_high;
  }
};

// One token's share; gap = x - max in float32, in [-1024, 0].
ALIGNDEC_HD GapMoments gap_of(float gap) {
  constexpr double kRound = 0x1.8p52;  // leaves the nearest integer in the low bits
  const double units = static_cast<double>(-gap) * 0x1p24;
  const uint64_t q = bit_cast<uint64_t>(units + kRound) - bit_cast<uint64_t>(kRound);
  const u128 square = static_cast<u128>(q) * q;
  GapMoments g;
  g.count = 1;
  g.sum = q;
  g.square_low = static_cast<uint64_t>(square) & 0xffffffffu;
  g.square_high = static_cast<uint64_t>(square >> 32);
  return g;
}

// Population standard deviation: sqrt(n S2 - S1^2) / n, from exact integers.
ALIGNDEC_HD double gap_sigma(const GapMoments& g) {
  const u128 square = (static_cast<u128>(g.square_high) << 32) + g.square_low;
  const u128 spread = square * g.count - static_cast<u128>(g.sum) * g.sum;
  const double wide = static_cast<double>(static_cast<uint64_t>(spread >> 64)) * 0x1p64 +
                      static_cast<double>(static_cast<uint64_t>(spread));
  return sqrt(wide) / static_cast<double>(g.count) * 0x1p-24;
}

}  // namespace aligndec::core
