// Where a cut lies and what it keeps, from the bins: those before the bin of the cut are kept, the
// few tokens of that bin are listed, and one block of the group tells them apart by their exact
// keys. Sums of integers only, so nothing depends on the order of threads.
#pragma once

#include "cuda/row_mass.cuh"

namespace aligndec::cuda {

// The order in which a prefix takes tokens: the largest logit first, or the closest to a centre.
struct Order {
  bool closest;
  double centre;

  // Keys of closeness order as the doubles do whose bits they are.
  __device__ uint64_t key(float x) const {
    return closest ? core::bit_cast<uint64_t>(core::typical_key(centre, x))
                   : core::descending_key(x);
  }
};

// What a cut keeps of [low, high]: the tokens before which less than `limit` lies, each counted as
// what it weighs or as one; where limit is 0, those up to the key `last`.
struct Cut {
  Order order;
  Law law;
  float low, high;
  bool by_count;
  uint64_t limit, last;

  __device__ bool covers(float x) const { return x >= low && x <= high; }
  __device__ uint64_t weight(float x) const { return by_count ? 1 : law.mass(x); }
};

// Lists the tokens of a bin and sums up what lies before it, for the block.
template <bool kAround>
__device__ __forceinline__ void list_bin(Storage& s, const Row& row, const Cut& cut,
                                         const Distance& distance, int bin) {
  const float wanted = core::kWhole + static_cast<float>(bin);
  const float low = cut.low, high = cut.high;
  LogitRange logits;
  uint32_t count = 0;
  row.for_logits(
      [&](const auto& x) {
        bool any = false;
#pragma unroll
        for (const float each : x) {
          const float here = distance.bin<kAround>(each);
          bool before = here < wanted;
          if constexpr (kAround) {
            before = before && each >= low && each <= high;
            logits.least = fminf(logits.least, before ? each : INFINITY);
            logits.most = fmaxf(logits.most, before ? each : -INFINITY);
          }
          count += before;
          any |= here == wanted;
        }
        if (!any) return;
#pragma unroll
        for (const float each : x) {  // seldom: 0.25
          if (distance.bin<kAround>(each) != wanted || !(each >= low && each <= high)) continue;
          const uint32_t i = block::add(&s.list_size, 1u);
          if (i < kList) s.list[i] = each;
        }
      },
      [](int) {});
  BeforeBin mine{share_before(s, bin), count, logits, 0};
  mine = sum_of_block(s.exchange, sum_of_warp(mine));
  if (thread() == 0) {
    mine.candidates = s.list_size;
    s.before_bin = mine;
  }
}

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

// The same for any row, also where many tokens share a bin: the range of keys in which the last one
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
