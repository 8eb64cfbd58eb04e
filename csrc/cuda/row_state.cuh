// What a group knows of its row: sums over it, and the histogram and the candidates of a search.
// It is the same for all threads and lies in the storage of each block, so that it costs no
// registers.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/adaptor_rules.h"
#include "core/books.h"
#include "cuda/group.cuh"

namespace aligndec::cuda {

// What one look at a row tells.
struct Scan {
  int64_t count = 0;  // existing tokens
  float top = -INFINITY, least = INFINITY;
  int bad = 0;  // NaN or +inf

  __device__ void add(const Scan& o) {
    count += o.count;
    top = fmaxf(top, o.top);
    least = fminf(least, o.least);
    bad |= o.bad;
  }
  __device__ void add_logit(float x) {
    if (!(x < INFINITY)) bad = 1;
    if (!(x > -INFINITY)) return;
    ++count;
    top = fmaxf(top, x);
    least = fminf(least, x);
  }
  __device__ int64_t status() const {
    return bad ? core::kBadLogit : count == 0 ? core::kNoToken : core::kOk;
  }
};

// What the tokens of an interval weigh together, and their least and largest logit.
struct Tally {
  uint64_t mass = 0, entropy = 0;
  int64_t count = 0;
  float low = INFINITY, high = -INFINITY;

  __device__ void add(const Tally& o) {
    mass += o.mass;
    entropy += o.entropy;
    count += o.count;
    low = fminf(low, o.low);
    high = fmaxf(high, o.high);
  }
};

// Keys of candidates, and how many a block has of them at most.
struct KeyRange {
  uint64_t least = ~uint64_t{0}, most = 0;
  int64_t candidates = 0;

  __device__ void add(const KeyRange& o) {
    least = least < o.least ? least : o.least;
    most = most < o.most ? o.most : most;
    candidates = candidates < o.candidates ? o.candidates : candidates;
  }
};

struct Mass {
  uint64_t value = 0;
  __device__ void add(const Mass& o) { value += o.value; }
};

struct Wide {
  core::u128 value = 0;
  __device__ void add(const Wide& o) { value += o.value; }
};

struct LowestId {
  int64_t id = INT64_MAX;
  __device__ void add(const LowestId& o) { id = id < o.id ? id : o.id; }
};

// Where a prefix by mass ends in a histogram, and the mass before that bin.
struct BinAt {
  uint64_t before;
  int bin;
};

// Storage of a block; its slice of the row may follow.
struct Storage {
  Exchange exchange;
  Scan seen;
  Tally base, scaled;  // all tokens, at temperature 1 and at that of the rule
  Tally kept;          // the tokens that the stages so far keep
  core::GapMoments gaps;
  Wide wide;
  Tally choices;  // of xtc
  double powers, power[kThreads];
  KeyRange range;
  LowestId lowest;
  core::RowMasses masses;
  alignas(8) unsigned char rule_bytes[sizeof(core::Rule)];
  uint64_t mass_of_warp[kWarps];  // of the law that was weighed last, in the order of ids
  uint64_t mass_of_block;
  BinAt found;
  int token;
  int64_t last;  // id
  Mass above;
  uint32_t list_size;
  float list[kList];
  uint32_t bin_low[kBins], bin_high[kBins];

  __device__ core::Rule& rule() { return *reinterpret_cast<core::Rule*>(rule_bytes); }

  // Makes what `rule_of` returns the rule that all threads see. None may still read the last one.
  template <class RuleOf>
  __device__ void set_rule(RuleOf rule_of) {
    if (block::thread() == 0) rule() = rule_of();
    block::sync();
  }
};

__device__ inline int thread() { return block::thread(); }
__device__ inline bool is_leader() { return block::thread() == 0 && block::rank() == 0; }

// The block's storage, ready for use.
__device__ inline Storage& open_storage() {
  auto& s = *reinterpret_cast<Storage*>(block::storage());
  if (block::thread() == 0) s.exchange.phase = 0;
  return s;
}

}  // namespace aligndec::cuda
