// The end of any prefix, without bins of all its tokens.
#pragma once

#include "cuda/row_list.cuh"

namespace aligndec::cuda {

// Where a prefix ends also where many tokens share a bin: the range of keys in which the last one
// lies gets smaller with each look at the row. Leaves the key in cut.last, and the least and the
// largest logit that are kept in s.logits.
__device__ inline void cut_by_keys(Storage& s, const Row& row, Cut& cut) {
  KeyRange mine;
  row.for_ids([&](int i) {
    const float x = row.at(i);
    if (cut.covers(x)) mine.add({cut.order.key(x), cut.order.key(x)});
  });
  send_sum(s.exchange, mine, s.range, [] {}, [](int, const KeyRange&) {});
  KeyRange range = s.range;
  uint64_t limit = cut.limit;
  while (range.least != range.most) {
    int shift = 0;
    while ((range.most - range.least) >> shift >= kBins) ++shift;
    clear_bins(s, 32);
    row.for_ids([&](int i) {
      const float x = row.at(i);
      if (!cut.covers(x)) return;
      const uint64_t key = cut.order.key(x);
      if (key < range.least || key > range.most) return;
      const auto bin = static_cast<int>((key - range.least) >> shift);
      add_mass(s.bin_low + bin, s.bin_high + bin, cut.weight(x));
    });
    block::sync();
    sum_runs(s);
    block::sync_peers();
    uint64_t total;
    const BinAt fine = find_bin(s, limit, 0, total);
    limit -= fine.before;
    range.least += static_cast<uint64_t>(fine.bin) << shift;
    const uint64_t last = range.least + ((uint64_t{1} << shift) - 1);
    range.most = range.most < last ? range.most : last;
    block::sync_peers();  // the bins are free again
  }
  cut.last = range.least;
  LogitRange logits;
  row.for_ids([&](int i) {
    const float x = row.at(i);
    if (cut.covers(x) && cut.order.key(x) <= cut.last) logits.add({x, x});
  });
  send_sum(s.exchange, logits, s.logits, [] {}, [](int, const LogitRange&) {});
}

}  // namespace aligndec::cuda
