// Where a cut lies and what it keeps, from the bins: those before the bin of the cut are kept, the
// few tokens of that bin are listed, and one block of the group tells them apart by their exact
// keys. Sums of integers only, so nothing depends on the order of threads.
#pragma once

#include "cuda/row_list.cuh"

namespace aligndec::cuda {

// The last key that a cut keeps among `n` candidates, before which nothing is left of the limit but
// `limit`; by the threads of one block.
__device__ inline uint64_t last_candidate(Storage& s, const Cut& cut, int n, uint64_t limit) {
  KeyRange within{0, ~uint64_t{0}};
  while (true) {
    KeyRange mine;
#pragma unroll 1
    for (int i = thread(); i < n; i += kThreads) {
      const uint64_t key = cut.order.key(s.candidates[i]);
      if (key >= within.least && key <= within.most) mine.add({key, key});
    }
    mine = sum_of_block(s.exchange, sum_of_warp(mine));
    s.fine_low[thread()] = s.fine_high[thread()] = 0;
    if (thread() == 0) s.range = mine;
    block::sync();
    within = s.range;
    if (within.least == within.most) return within.least;
    int shift = 0;
    while ((within.most - within.least) >> shift >= kThreads) ++shift;
#pragma unroll 1
    for (int i = thread(); i < n; i += kThreads) {
      const float x = s.candidates[i];
      const uint64_t key = cut.order.key(x);
      if (key < within.least || key > within.most) continue;
      const auto bin = static_cast<int>((key - within.least) >> shift);
      add_mass(s.fine_low + bin, s.fine_high + bin, cut.weight(x));
    }
    block::sync();
    const uint64_t own =
        (static_cast<uint64_t>(s.fine_high[thread()]) << 32) + s.fine_low[thread()];
    uint64_t total;
    const uint64_t before = mass_before(s.exchange, own, total);
    if (before < limit && limit <= before + own) s.found = {before, thread()};
    block::sync();
    limit -= s.found.before;
    within.least += static_cast<uint64_t>(s.found.bin) << shift;
    within.most = within.least + ((uint64_t{1} << shift) - 1);
  }
}

// Whether all that lies in other bins lies on the right side of the last key: float32 distances
// from a centre are a bit off.
__device__ inline bool is_settled(const Cut& cut, const Distance& distance, int bin) {
  if (!cut.order.closest) return true;
  const double last = core::bit_cast<double>(cut.last);
  const double per_bin = static_cast<double>(distance.per_bin);
  const double error = fabs(cut.order.centre - static_cast<double>(distance.from)) + last * 0x1p-22;
  return (bin == 0 || last - error > bin / per_bin) && last + error < (bin + 1) / per_bin;
}

// Tells the candidates of all peers apart and sends the verdict to them; by one block.
__device__ __forceinline__ void settle(Storage& s, Cut cut, const Distance& distance,
                                       const BinAt& at) {
  const int peers = block::peers();
  BeforeBin head;
  if (block::lane() < peers) head = *block::of_peer(&s.before_bin, block::lane());
  int n = 0;
  bool all_listed = true;
  // Calls body(peer, the first of its candidates, how many), a warp for each peer.
  const auto for_peers = [&](auto body) {
    n = 0;
    for (int peer = 0; peer < peers; ++peer) {
      const auto own = static_cast<int>(block::from_lane(head.candidates, peer));
      if (all_listed && peer % kWarps == block::warp()) body(peer, n, own);
      n += own;
    }
  };
  for_peers([](int, int, int) {});
  all_listed = n <= kList;
  Verdict& verdict = s.verdict;
  if (all_listed) {
    for_peers([&](int peer, int first, int own) {
#pragma unroll 1
      for (int i = block::lane(); i < own; i += block::kWarp)
        s.candidates[first + i] = *block::of_peer(&s.list[i], peer);
    });
    block::sync();
    if (cut.limit != 0) cut.last = last_candidate(s, cut, n, cut.limit - at.before);
    BeforeBin all;
    for_peers([&](int peer, int first, int own) {
      BeforeBin kept;
#pragma unroll 1
      for (int i = block::lane(); i < own; i += block::kWarp) {
        const float x = s.candidates[first + i];
        if (cut.order.key(x) <= cut.last) kept.add({cut.weight(x), 1, {x, x}, 0});
      }
      kept = sum_of_warp(kept);
      kept.add(block::from_lane(head, peer));
      if (block::lane() == 0) verdict.mass_of_peer[peer] = kept.weight;
      all.add(kept);
    });
    all = sum_of_block(s.exchange, all);
    if (thread() == 0) {
      verdict.sums = {all.weight, 0, all.count};
      verdict.low = cut.order.closest ? all.logits.least
                                      : core::from_descending_key(static_cast<uint32_t>(cut.last));
      verdict.high = cut.order.closest ? all.logits.most : cut.high;
    }
  }
  if (thread() == 0) verdict.found = all_listed && is_settled(cut, distance, at.bin);
  block::sync();
  constexpr int kWords = sizeof(Verdict) / sizeof(uint32_t);
  auto* const words = reinterpret_cast<uint32_t*>(&verdict);
#pragma unroll 1
  for (int i = thread(); i < kWords * (peers - 1); i += kThreads)
    *block::of_peer(words + i % kWords, 1 + i / kWords) = words[i % kWords];
}

// Leaves in s.verdict, in every block, what a cut keeps whose bin is known.
__device__ __forceinline__ void cut_in_bin(Storage& s, const Row& row, const Cut& cut,
                                           const Distance& distance, const BinAt& at) {
  if (thread() == 0) s.list_size = 0;
  block::sync();
  if (cut.order.closest) {
    list_bin<true>(s, row, cut, distance, at.bin);  // hot: list_around
  } else {
    list_bin<false>(s, row, cut, distance, at.bin);  // hot: list
  }
  block::sync_peers();
  if (block::rank() == 0) settle(s, cut, distance, at);
  block::sync_peers();
}

}  // namespace aligndec::cuda
