// Resampling of a particle filter (Douc, Cappe and Moulines 2005; Chopin and Papaspiliopoulos 2020,
// chapter 9): N slots choose their ancestors among N particles by weight. Weights are integers,
// W_i = RNE(e^(ln w_i - max ln w) 2^(62 - bit length of N)), so sums are exact in any order; what
// passes 64 bits is held in 128. -inf: weight 0, never an ancestor; all -inf: nothing is resampled.
//
// A filter is worked on by a team: one thread of a CPU, or a block of a GPU. It offers rank(),
// size(), sync(), largest(double), total(u128) and before(u128), each over its members, and
// count(uint32_t*, n), which adds n to a word.
#pragma once

#include <cmath>

#include "core/draw.h"
#include "core/exp64.h"
#include "core/fixed_point.h"
#include "core/log.h"

namespace aligndec::core {

enum class Scheme : int { kSystematic, kStratified, kMultinomial, kResidual };

constexpr int64_t kMostParticles = (int64_t{1} << 31) - 1;
// The nearest float64, ties to even: the leading 64 bits, the last of them set where more follow.
ALIGNDEC_HD double to_double(u128 x) {
  double unit = 1.0;
  while (x >> 64 != 0) {
    x = (x >> 1) | (x & 1);
    unit *= 2.0;
  }
  return static_cast<double>(static_cast<uint64_t>(x)) * unit;
}

// floor(r x / 2^64) for 64 random bits.
ALIGNDEC_HD u128 share_of(uint64_t r, u128 x) {
  const auto low = static_cast<uint64_t>(x), high = static_cast<uint64_t>(x >> 64);
  return static_cast<u128>(r) * high + mul_hi_u64(r, low);
}

// Entries [0, n) of one filter. Room: n words of each of the last two.
struct Particles {
  const double* log_weight;
  int64_t n;
  u128* key;
  uint32_t* copies;
};

struct Mass {
  double top, unit;  // the largest log-weight; what weight 1 is in integers

  ALIGNDEC_HD uint64_t of(double log_weight) const {
    const double w = exp64(log_weight - top) * unit;
    // Above 2^52 a double is an integer already.
    return static_cast<uint64_t>(w < 0x1p52 ? (w + 0x1p52) - 0x1p52 : w);
  }
};

struct FilterMass {
  Mass mass;
  uint64_t total;
  double ess, log_mean;  // (sum w)^2 / sum w^2; ln of the mean weight
};

// Sums over a filter; ess 0 and log_mean -inf where nothing has weight.
template <class Team>
ALIGNDEC_D FilterMass weigh(const Particles& p, Team& team) {
  double top = -INFINITY;
  for (int64_t i = team.rank(); i < p.n; i += team.size())
    if (p.log_weight[i] > top) top = p.log_weight[i];
  top = team.largest(top);
  if (top == -INFINITY) return {{top, 0.0}, 0, 0.0, top};
  double unit = 0x1p62;
  for (int64_t n = p.n; n > 0; n >>= 1) unit *= 0.5;
  const Mass mass{top, unit};
  u128 sum = 0, squares = 0;
  for (int64_t i = team.rank(); i < p.n; i += team.size()) {
    const u128 w = mass.of(p.log_weight[i]);
    sum += w;
    squares += w * w;
  }
  sum = team.total(sum);
  squares = team.total(squares);
  const auto total = static_cast<uint64_t>(sum);
  const double mean = static_cast<double>(total) / unit / static_cast<double>(p.n);
  return {mass, total, to_double(sum * sum) / to_double(squares), top + log_positive(mean)};
}

// Fills key with the running sums of value(i), each member a stretch of its own.
template <class Team, class Value>
ALIGNDEC_D void running_sums(const Particles& p, Team& team, const Value& value) {
  const int64_t each = (p.n + team.size() - 1) / team.size();
  const int64_t first = team.rank() * each < p.n ? team.rank() * each : p.n;
  const int64_t last = first + each < p.n ? first + each : p.n;
  u128 sum = 0;
  for (int64_t i = first; i < last; ++i) p.key[i] = sum += value(i);
  const u128 before = team.before(sum);
  for (int64_t i = first; i < last; ++i) p.key[i] += before;
  team.sync();
}

// The first entry whose key exceeds the target; there is one.
ALIGNDEC_HD int64_t first_above(const Particles& p, u128 target) {
  int64_t low = 0, high = p.n - 1;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    (p.key[middle] > target ? high : low) = middle + (p.key[middle] > target ? 0 : 1);
  }
  return low;
}

// The ancestors of all slots, in ascending order; bits(k) are those of slot k.
//   systematic, stratified: the first i with N cum W_i > k W + floor(r W / 2^64), r of slot 0 or k
//   multinomial: the first i with cum W_i > floor(r_k W / 2^64)
//   residual: floor(N W_i / W) copies of i; the rest as multinomial by the remainders N W_i mod W
template <class Team, class Bits>
ALIGNDEC_D void draw_ancestors(const Particles& p, const FilterMass& f, Scheme scheme,
                               const Bits& bits, Team& team, int64_t* ancestor) {
  const auto n = static_cast<uint64_t>(p.n);
  const auto scaled = [&](int64_t i) { return static_cast<u128>(n) * f.mass.of(p.log_weight[i]); };
  if (scheme == Scheme::kSystematic || scheme == Scheme::kStratified) {
    running_sums(p, team, scaled);
    for (int64_t k = team.rank(); k < p.n; k += team.size()) {
      const uint64_t offset = mul_hi_u64(bits(scheme == Scheme::kSystematic ? 0 : k), f.total);
      ancestor[k] = first_above(p, static_cast<u128>(k) * f.total + offset);
    }
    return;
  }
  const bool residual = scheme == Scheme::kResidual;
  u128 rest = residual ? 0 : static_cast<u128>(n);  // slots that are drawn
  for (int64_t i = team.rank(); i < p.n; i += team.size()) {
    p.copies[i] = residual ? static_cast<uint32_t>(scaled(i) / f.total) : 0u;
    rest += p.copies[i];
  }
  if (residual) rest = n - team.total(rest);
  running_sums(p, team, [&](int64_t i) {
    return residual ? scaled(i) % f.total : static_cast<u128>(f.mass.of(p.log_weight[i]));
  });
  const u128 all = p.key[p.n - 1];
  for (int64_t k = team.rank(); k < static_cast<int64_t>(rest); k += team.size())
    team.count(&p.copies[first_above(p, share_of(bits(k), all))], 1u);
  team.sync();
  running_sums(p, team, [&](int64_t i) { return static_cast<u128>(p.copies[i]); });
  for (int64_t k = team.rank(); k < p.n; k += team.size())
    ancestor[k] = first_above(p, static_cast<u128>(k));
}

}  // namespace aligndec::core
