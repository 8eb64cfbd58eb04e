// One logit: whether its token may exist, its place in the order of logits, what it weighs.
#pragma once

#include <cfloat>
#include <cmath>
#include <cstdint>

#include "core/exp.h"
#include "core/fixed_point.h"
#include "core/hd.h"

namespace aligndec::core {

// A row of the mask: a flag for each token, or a bit; without both every token may exist.
struct RowMask {
  const bool* flags;
  const uint32_t* bits;

  ALIGNDEC_HD bool allows(int64_t id) const {
    if (flags) return flags[id];
    return !bits || ((bits[id >> 5] >> (id & 31)) & 1u);
  }
};

// The least float that is >= cut, the largest that is <= cut.
ALIGNDEC_HD float float_at_least(double cut) {
  if (cut <= -static_cast<double>(FLT_MAX)) return -FLT_MAX;
  const float f = static_cast<float>(cut);
  return static_cast<double>(f) < cut ? nextafterf(f, INFINITY) : f;
}
ALIGNDEC_HD float float_at_most(double cut) {
  if (cut <= -static_cast<double>(FLT_MAX)) return -FLT_MAX;
  const float f = static_cast<float>(cut);
  return static_cast<double>(f) > cut ? nextafterf(f, -INFINITY) : f;
}

// Logits as integers, largest first; -0 and +0 are one.
ALIGNDEC_HD uint32_t descending_key(float x) {
  const uint32_t bits = bit_cast<uint32_t>(x + 0.0f);
  const uint32_t ascending = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return ~ascending;
}
ALIGNDEC_HD float from_descending_key(uint32_t key) {
  const uint32_t ascending = ~key;
  return bit_cast<float>(ascending & 0x80000000u ? ascending & 0x7fffffffu : ~ascending);
}

// W and E of a token whose scaled logit lies t below the maximum.
struct Weight {
  uint64_t mass, entropy;
};

ALIGNDEC_HD Weight weight_at(float t) {
  const double w = static_cast<double>(exp32(t));
  // The product of two floats is exact in a double.
  return {to_mass(w), to_mass(w * -static_cast<double>(t))};
}

}  // namespace aligndec::core
