// Where a prefix of a row by mass or by count ends, without a sort: a histogram over the distance
// from the first token leads to one bin, whose few candidates are told apart by their exact keys.
// Sums of integers only, so the end does not depend on the order of threads.
#pragma once

#include "cuda/row_mass.cuh"

namespace aligndec::cuda {

// The largest key that a prefix of [low, high] keeps: a token is kept iff those before it weigh
// less than `limit`, which all of them together reach; by count each weighs 1. `reach`: the
// distance at which hardly any mass is left.
template <class T>
__device__ uint64_t prefix_end(Storage& s, const Row<T>& row, const Law& law, float low, float high,
                               const Order& order, float reach, bool by_count, uint64_t limit) {
  const auto weight_of = [&](float x) { return by_count ? 1 : law.weight(x).mass; };
  const float farthest = fmaxf(order.distance(low), order.distance(high));
  const float per_bin = fminf(kBins / fmaxf(fminf(reach, farthest), FLT_MIN), FLT_MAX);
  const auto coarse_bin = [&](float x) {
    return static_cast<int>(fminf(order.distance(x) * per_bin, kBins - 1.0f));
  };
  clear_bins(s);
  row.for_logits(low, high, [&](float x) { add_to_bin(s, coarse_bin(x), weight_of(x)); });
  const BinAt coarse = find_bin(s, limit);

  KeyRange mine;
  row.for_logits(low, high, [&](float x) {
    if (coarse_bin(x) != coarse.bin) return;
    const uint32_t i = block::add(&s.list_size, 1u);
    if (i < kList) s.list[i] = x;
    const uint64_t key = order.key(x);
    mine.add({key, key, static_cast<int64_t>(i) + 1});
  });
  sum(s.exchange, mine, s.range);
  KeyRange range = s.range;
  limit -= coarse.before;
  const bool listed = range.candidates <= kList;
  const auto listed_here = static_cast<int>(s.list_size);
  block::sync();
  while (range.least != range.most) {
    int shift = 0;
    while ((range.most - range.least) >> shift >= kBins) ++shift;
    const auto add_candidate = [&](float x) {
      const uint64_t key = order.key(x);
      if (key >= range.least && key <= range.most)
        add_to_bin(s, static_cast<int>((key - range.least) >> shift), weight_of(x));
    };
    clear_bins(s);
    if (listed) {
      for (int i = thread(); i < listed_here; i += kThreads) add_candidate(s.list[i]);
    } else {
      row.for_logits(low, high, add_candidate);
    }
    const BinAt fine = find_bin(s, limit);
    limit -= fine.before;
    range.least += static_cast<uint64_t>(fine.bin) << shift;
    const uint64_t last = range.least + ((uint64_t{1} << shift) - 1);
    range.most = range.most < last ? range.most : last;
  }
  return range.least;
}

}  // namespace aligndec::cuda
