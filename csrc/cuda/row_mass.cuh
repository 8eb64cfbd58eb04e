// Masses of a row, and where a prefix of it by mass or by count ends.
#pragma once

#include "core/logit.h"
#include "cuda/row.cuh"

namespace aligndec::cuda {

// The weights of a law: relative to `top`, at one temperature.
struct Law {
  float top;
  core::Scale scale;

  __device__ core::Weight weight(float x) const {
    return core::weight_at(core::scaled_gap(x - top, scale));
  }
};

// The order in which a prefix takes tokens: the largest logit first, or the closest to a centre.
struct Order {
  bool closest;
  float most;  // the largest logit of the interval
  double centre;

  // Keys of closeness order as the doubles do whose bits they are.
  __device__ uint64_t key(float x) const {
    return closest ? core::bit_cast<uint64_t>(core::typical_key(centre, x))
                   : core::descending_key(x);
  }
  __device__ float distance(float x) const {
    return closest ? static_cast<float>(core::typical_key(centre, x)) : most - x;
  }
};

// Weighs the tokens of [low, high] up to the key `last`; leaves their sum in s.kept and the mass of
// each warp behind.
template <class T>
__device__ void tally(Storage& s, const Row<T>& row, const Law& law, float low, float high,
                      const Order& order, uint64_t last) {
  Tally mine;
  row.for_logits(low, high, [&](float x) {
    if (order.key(x) > last) return;
    const core::Weight w = law.weight(x);
    mine.add({w.mass, w.entropy, 1, x, x});
  });
  mine = sum_of_warp(mine);
  if (block::lane() == 0) s.mass_of_warp[block::warp()] = mine.mass;
  sum_of_warps(s.exchange, mine, s.kept);
}

// Adds to a bin of the block's histogram; two words and a carry, because the hardware has no
// 64-bit addition there.
__device__ inline void add_to_bin(Storage& s, int bin, uint64_t mass) {
  const auto low = static_cast<uint32_t>(mass);
  auto high = static_cast<uint32_t>(mass >> 32);
  if (low != 0) high += block::add(&s.bin_low[bin], low) > 0xffffffffu - low;
  if (high != 0) block::add(&s.bin_high[bin], high);
}

__device__ inline void clear_bins(Storage& s) {
  for (int bin = thread(); bin < kBins; bin += kThreads) s.bin_low[bin] = s.bin_high[bin] = 0;
  if (thread() == 0) s.list_size = 0;
  block::sync();
}

// The first bin at which the mass of all bins so far, over the group, reaches `limit` (which the
// whole does). Each block adds up a share of the bins.
__device__ inline BinAt find_bin(Storage& s, uint64_t limit) {
  constexpr int kRun = kBins > kThreads ? kBins / kThreads : 1;
  const int peers = block::peers(), share = kBins / peers;
  const int run = share > kThreads ? share / kThreads : 1;
  const int begin = thread() * run < share ? block::rank() * share + thread() * run : kBins;
  const auto mass_of = [&](int bin) {
    uint64_t mass = 0;
    for (int peer = 0; peer < peers; ++peer)
      mass += *block::of_peer(&s.bin_low[bin], peer) |
              static_cast<uint64_t>(*block::of_peer(&s.bin_high[bin], peer)) << 32;
    return mass;
  };
  block::sync_peers();  // the histograms are complete
  uint64_t masses[kRun];
  uint64_t mine = 0, total;
#pragma unroll
  for (int i = 0; i < kRun; ++i) {
    masses[i] = i < run && begin < kBins ? mass_of(begin + i) : 0;
    mine += masses[i];
  }
  uint64_t before = mass_before(s.exchange, mine, total);
  if (thread() == 0) s.mass_of_block = total;
  block::sync_peers();
  for (int peer = 0; peer < block::rank(); ++peer)
    before += *block::of_peer(&s.mass_of_block, peer);
  if (before < limit && limit <= before + mine) {
    int bin = begin;
    for (int i = 0; i < kRun; ++i) {
      if (before + masses[i] >= limit) break;
      before += masses[i];
      ++bin;
    }
    for (int peer = 0; peer < peers; ++peer) *block::of_peer(&s.found, peer) = {before, bin};
  }
  block::sync_peers();
  return s.found;
}

}  // namespace aligndec::cuda
