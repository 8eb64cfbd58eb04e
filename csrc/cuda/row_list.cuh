// Cuts, and the tokens of the one bin in which a cut lies.
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

}  // namespace aligndec::cuda
