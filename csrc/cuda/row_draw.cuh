// The inverse-CDF draw of one row.
#pragma once

#include "cuda/row_cut.cuh"

namespace aligndec::cuda {

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

  int begin = 0, end = size;
  while (true) {  // into the stretch of the warp that the target falls into
    int warp = 0;
    for (; before + s.mass_of_warp[warp] <= target; ++warp) before += s.mass_of_warp[warp];
    const int length = Slice::stretch(end - begin);
    begin += warp * length;
    end = begin + length < end ? begin + length : end;
    if (end - begin <= kThreads) break;
    Mass part;
    Slice::for_range(begin, end, [&](int i) { part.value += mass_at(i); });
    part = sum_of_warp(part);
    block::sync();
    if (block::lane() == 0) s.mass_of_warp[block::warp()] = part.value;
    block::sync();
  }
  const int i = begin + thread();
  const uint64_t own = i < end ? mass_at(i) : 0;
  uint64_t total;
  before += mass_before(s.exchange, own, total);
  if (before <= target && target < before + own) s.token = i;
  block::sync();
  return first + s.token;
}

// The first kept id whose cumulative mass exceeds `target`, after cut_row; as first_beyond.
template <class T>
__device__ int64_t draw(Storage& s, const Row<T>& row, uint64_t target) {
  const core::RowMasses& r = s.masses;
  if (r.greedy_token >= 0) return block::rank() == 0 ? r.greedy_token : -1;
  const Law law = drawn_law(s);
  const float low = r.low, high = r.high;
  return first_beyond(s, row.first, row.size, target, [&](int i) {
    const float x = row.at(i);
    return x >= low && x <= high ? law.weight(x).mass : 0;
  });
}

}  // namespace aligndec::cuda
