// The inverse-CDF draw of one row.
#pragma once

#include "cuda/row_masses.cuh"

namespace aligndec::cuda {

// The first i at which the sum of mass_at(0 .. i) exceeds `target`, which that over [0, size) does;
// for every thread of the block. s.mass_of_warp holds the sums of the warps, each over `length`.
template <class MassAt>
__device__ int descend(Storage& s, int size, int length, uint64_t target, MassAt mass_at) {
  int begin = 0, end = size;
  uint64_t before = 0;
  while (true) {  // into the stretch of the warp that the target falls into
    int warp = 0;
    for (; before + s.mass_of_warp[warp] <= target; ++warp) before += s.mass_of_warp[warp];
    begin += warp * length;
    end = begin + length < end ? begin + length : end;
    if (end - begin <= kThreads) break;
    Mass part;
    Slice::for_range(begin, end, [&](int i) { part.value += mass_at(i); });
    part = sum_of_warp(part);
    block::sync();
    if (block::lane() == 0) s.mass_of_warp[block::warp()] = part.value;
    block::sync();
    length = Slice::stretch(end - begin);
  }
  const int i = begin + thread();
  const uint64_t own = i < end ? mass_at(i) : 0;
  uint64_t total;
  before += mass_before(s.exchange, own, total);
  if (before <= target && target < before + own) s.token = i;
  block::sync();
  return s.token;
}

// The first id at which the sum of mass_at(i), over the row in the order of ids, exceeds `target`;
// s.mass_of_warp holds the sums of this block's warps. For every thread of the block that has the
// id; -1 in the other blocks of the group.
template <class MassAt>
__device__ int64_t first_beyond(Storage& s, int64_t first, int size, uint64_t target,
                                MassAt mass_at) {
  uint64_t before = 0, mine = 0;
  for (int warp = 0; warp < kWarps; ++warp) mine += s.mass_of_warp[warp];
  if (thread() == 0) s.mass_of_block = mine;
  block::sync_peers();
  for (int peer = 0; peer < block::rank(); ++peer)
    before += *block::of_peer(&s.mass_of_block, peer);
  if (target < before || target >= before + mine) return -1;
  return first + descend(s, size, Slice::stretch(size), target - before, mass_at);
}

// The first kept id whose cumulative mass exceeds `target`, after cut_row; as first_beyond.
__device__ inline int64_t draw(Storage& s, const Row& row, uint64_t target) {
  const core::RowMasses& r = s.masses;
  if (r.greedy_token >= 0) return block::rank() == 0 ? r.greedy_token : -1;
  for (int peer = 0; peer < block::rank(); ++peer) {
    if (target < s.mass_of_peer[peer]) return -1;
    target -= s.mass_of_peer[peer];
  }
  if (target >= s.mass_of_peer[block::rank()]) return -1;
  const ScaledGap gap(r.kept_top, s.rule().scale);
  const float low = r.low, high = r.high;
  ThreadSums<false> sums;
  row.for_stretch(
      [&](const auto& x) {  // hot: draw
#pragma unroll
        for (const float each : x) {
          const bool in = each >= low && each <= high;
          sums.count += in;
          if (in) sums.add(core::mass_halves(core::scaled_weight(gap(each))), {});
        }
      },
      [&](int) { sums.settle(sums.count); });
  const Mass mine = sum_of_warp(Mass{sums.total.mass});
  if (block::lane() == 0) s.mass_of_warp[block::warp()] = mine.value;
  block::sync();
  const int place = descend(s, row.places(), row.stretch(), target, [&](int i) {
    const float x = row.at_place(i);
    const uint64_t mass = core::mass_halves(core::scaled_weight(gap(x))).mass();
    return x >= low && x <= high ? mass : 0;
  });
  return row.id_at(place);
}

}  // namespace aligndec::cuda
