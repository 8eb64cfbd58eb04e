// Histograms of a row's tokens over their distance from the first one of an order. They lead any
// cut to one bin, whose few tokens are then told apart; nothing is sorted.
#pragma once

#include "cuda/row.cuh"

namespace aligndec::cuda {

// Bins are floats too: core::kWhole + bin. Tokens from kBeyond on are too far to be binned, and
// their mass is what the bins lack; each lane has a place of its own where it drops them, because
// addition without a condition costs less.
constexpr float kBeyond = core::kWhole + static_cast<float>(kBins);

// The bins of distances from the maximum of the row, or from any centre; in float32, so that what
// lies close to the end of a bin around a centre may be in the next. Below the maximum a bin is a
// monotone function of the logit, also where it rounds.
struct Distance {
  float from, per_bin;

  __device__ float below(float x) const {
    return core::fma32_down(from - x, per_bin, core::kWhole);
  }
  __device__ float around(float x) const {
    return core::fma32_down(fabsf(from - x), per_bin, core::kWhole);
  }
  template <bool kAround>
  __device__ float bin(float x) const {
    return kAround ? around(x) : below(x);
  }
};

__device__ inline float bins_per_unit(float reach) {
  return fminf(kBins / fmaxf(reach, FLT_MIN), FLT_MAX);
}

__device__ inline int index_of(float bin) {
  return static_cast<int>(core::bit_cast<uint32_t>(bin) - core::kWholeBits);
}
// Adds a mass to a bin of the block without its carries: fast, and seen by the sum of the bins when
// it goes wrong, because a lost carry lacks there and nothing else is as heavy.
__device__ inline void add_halves(Storage& s, float bin, float drop, const core::Halves& w) {
  const int i = index_of(fminf(bin, drop));
  block::add(&s.bin_low[i], w.low_word());
  block::add(&s.bin_high[i], w.high_word());
}
__device__ inline void add_one(Storage& s, float bin, float drop) {
  block::add(&s.bin_low[index_of(fminf(bin, drop))], 1u);
}
constexpr uint64_t kLostCarry = uint64_t{1} << 32;

// The same with carries, for any masses: two plain words, because the hardware has no 64-bit
// addition there.
__device__ inline void add_mass(uint32_t* low_word, uint32_t* high_word, uint64_t mass) {
  const auto low = static_cast<uint32_t>(mass);
  const bool carry = block::add(low_word, low) > 0xffffffffu - low;
  block::add(high_word, static_cast<uint32_t>(mass >> 32) + carry);
}

// `high_bit`: what bin_high counts, core::kLowHalf for halves.
__device__ inline void clear_bins(Storage& s, int high_bit) {
  for (int bin = thread(); bin < kBins; bin += kThreads) s.bin_low[bin] = s.bin_high[bin] = 0;
  if (thread() == 0) s.high_bit = high_bit;
  block::sync();
}

__device__ inline uint64_t mass_of_bin(const Storage& s, const uint32_t* low,
                                       const uint32_t* high) {
  return (static_cast<uint64_t>(*high) << s.high_bit) + *low;
}

constexpr int kRun = kBins / kThreads;  // bins that a thread adds up
static_assert(kRun >= 1 && kRun <= block::kWarp);

// Adds up runs of bins, once the block has filled them.
__device__ inline void sum_runs(Storage& s) {
  uint64_t mass = 0;
  for (int i = 0; i < kRun; ++i) {
    const int bin = thread() * kRun + i;
    mass += mass_of_bin(s, &s.bin_low[bin], &s.bin_high[bin]);
  }
  s.mass_of_run[thread()] = mass;
}

// The first bin at which the mass of all bins so far, over the group, reaches `limit`, or, where
// limit is 0, this bin; kBins if none does. `total` gets the mass of all bins.
__device__ inline BinAt find_bin(Storage& s, uint64_t limit, int bin, uint64_t& total) {
  const int peers = block::peers();
  uint64_t mine = 0;
#pragma unroll 4
  for (int peer = 0; peer < peers; ++peer) mine += *block::of_peer(&s.mass_of_run[thread()], peer);
  const uint64_t before = mass_before(s.exchange, mine, total);
  const bool ends_here =
      limit == 0 ? bin / kRun == thread() : before < limit && limit <= before + mine;
  if (ends_here) s.found = {before, thread()};
  if (thread() == 0 && limit > total) s.found = {total, kThreads};
  block::sync();
  BinAt at = s.found;
  if (at.bin == kThreads) return {at.before, kBins};
  // Each warp for itself: a lane for each bin of the run and every fourth peer.
  const int mine_of_run = at.bin * kRun + block::lane() % kRun;
  uint64_t mass = 0;
#pragma unroll 1
  for (int peer = block::lane() / kRun; peer < peers; peer += block::kWarp / kRun)
    mass += mass_of_bin(s, block::of_peer(&s.bin_low[mine_of_run], peer),
                        block::of_peer(&s.bin_high[mine_of_run], peer));
#pragma unroll 1
  for (int step = kRun; step < block::kWarp; step *= 2)
    mass += block::from_lane(mass, block::lane() ^ step);
  at.bin *= kRun;
#pragma unroll 1
  for (int i = 0; i < kRun - 1; ++i) {
    const uint64_t of_bin = block::from_lane(mass, i);
    if (limit == 0 ? at.bin == bin : at.before + of_bin >= limit) break;
    at.before += of_bin;
    ++at.bin;
  }
  return at;
}

// What this thread's share of the bins before this one weighs, of the block.
__device__ inline uint64_t share_before(const Storage& s, int bin) {
  if (thread() > bin / kRun) return 0;
  if (thread() < bin / kRun) return s.mass_of_run[thread()];
  uint64_t mass = 0;
#pragma unroll 1
  for (int i = bin / kRun * kRun; i < bin; ++i)
    mass += mass_of_bin(s, &s.bin_low[i], &s.bin_high[i]);
  return mass;
}

}  // namespace aligndec::cuda
