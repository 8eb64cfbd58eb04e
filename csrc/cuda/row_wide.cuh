// What p_less, top_h and xtc ask of the tokens in [low, high]: sums beyond 64 bits, exact, and a
// count.
#pragma once

#include "core/wide.h"
#include "cuda/row_mass.cuh"

namespace aligndec::cuda {

// The sum of body(weight) over the tokens of [low, high], for every thread.
template <class Body>
__device__ core::u128 wide_sum(Storage& s, const Row& row, const Law& law, float low, float high,
                               Body body) {
  Wide mine;
  row.for_interval(low, high, [&](float x) { mine.add(body(law.weight(x))); });
  sum(s.exchange, mine, s.wide);
  return s.wide.value();
}

// The sum of (mass / 2^43)^order in the order of ids: powers by all threads, added up by one.
__device__ inline double ordered_powers(Storage& s, const Row& row, const Law& law, float low,
                                        float high, double order) {
  for (int peer = 0; peer < block::peers(); ++peer) {
    if (peer == block::rank()) {
      double total = peer == 0 ? 0.0 : *block::of_peer(&s.powers, peer - 1);
      for (int start = 0; start < row.size; start += kThreads) {
        const int i = start + thread();
        const float x = i < row.size ? row.at(i) : -INFINITY;
        const bool kept = x >= low && x <= high;
        s.power[thread()] = kept ? core::mass_power(law.weight(x).mass, order) : 0.0;
        block::sync();
        for (int k = 0; thread() == 0 && k < kThreads; ++k) total += s.power[k];
        block::sync();
      }
      if (thread() == 0) s.powers = total;
    }
    block::sync_peers();
  }
  const double all = *block::of_peer(&s.powers, block::peers() - 1);
  block::sync_peers();  // a peer may still read
  return all;
}

__device__ inline double log_powers(Storage& s, const Row& row, const Law& law, float low,
                                    float high, double order) {
  if (order != 2.0) return core::log_positive(ordered_powers(s, row, law, low, high, order));
  return core::log_squares(wide_sum(s, row, law, low, high,
                                    [](const core::Weight& w) { return core::squared(w.mass); }));
}

// The least logit of the descending prefix of [low, high], which weighs s.kept, whose part of the
// entropy is at most `share` of it; the first always stay. Both ends are logits of the row.
__device__ inline float entropy_end(Storage& s, const Row& row, const Law& law, float low,
                                    float high, double share) {
  const core::EntropyTerms terms(s.kept.mass);
  const auto from = [&](float least) {
    return wide_sum(s, row, law, least, high,
                    [&](const core::Weight& w) { return terms.of(w.mass, w.entropy); });
  };
  const core::u128 limit = core::floor_scaled(share, from(low));
  const auto passes = [&](uint64_t key) {
    return from(core::from_descending_key(static_cast<uint32_t>(key))) > limit;
  };
  const uint64_t first = core::descending_key(high);
  uint64_t within = first - 1, beyond = core::descending_key(low);
  if (!passes(beyond)) return low;
  while (within + 1 < beyond) {
    const uint64_t middle = within + (beyond - within) / 2;
    (passes(middle) ? beyond : within) = middle;
  }
  return beyond == first ? high : core::from_descending_key(static_cast<uint32_t>(beyond - 1));
}

// The largest logit of [low, high] that xtc leaves, where the choices are those from `least` on.
__device__ inline float least_choice(Storage& s, const Row& row, float low, float high,
                                     float least) {
  Choices mine;
  row.for_interval(fmaxf(low, least), high, [&](float x) { mine.add({1, x}); });
  sum(s.exchange, mine, s.choices);
  return s.choices.count >= 2 ? s.choices.least : high;
}

}  // namespace aligndec::cuda
