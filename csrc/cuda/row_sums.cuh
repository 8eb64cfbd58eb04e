// What is summed up over the tokens of a row.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/fixed_point.h"
#include "cuda/group.cuh"

namespace aligndec::cuda {

// What one look at a row tells.
struct Scan {
  float top = -INFINITY, least = INFINITY;  // -inf where a token is missing
  int bad = 0;                              // NaN or +inf

  __device__ void add(const Scan& o) {
    top = fmaxf(top, o.top);
    least = fminf(least, o.least);
    bad |= o.bad;
  }
  __device__ int64_t status() const {
    return bad ? core::kBadLogit : top == -INFINITY ? core::kNoToken : core::kOk;
  }
};

// What some tokens weigh together under one law.
struct Sums {
  uint64_t mass = 0, entropy = 0;
  int64_t count = 0;

  __device__ void add(const Sums& o) {
    mass += o.mass;
    entropy += o.entropy;
    count += o.count;
  }
};

// The whole row, and those of its tokens that a known cut keeps.
struct RowAndSet {
  Sums row, set;

  __device__ void add(const RowAndSet& o) {
    row.add(o.row);
    set.add(o.set);
  }
};

// The least and the largest of some values; empty at first.
template <class T, T kLow, T kHigh>
struct Extent {
  T least = kHigh, most = kLow;

  __device__ void add(const Extent& o) {
    least = least < o.least ? least : o.least;
    most = most < o.most ? o.most : most;
  }
};
using KeyRange = Extent<uint64_t, uint64_t{0}, ~uint64_t{0}>;

struct LogitRange {
  float least = INFINITY, most = -INFINITY;

  __device__ void add(const LogitRange& o) {
    least = fminf(least, o.least);
    most = fmaxf(most, o.most);
  }
};

struct Choices {
  int64_t count = 0;
  float least = INFINITY;
  __device__ void add(const Choices& o) {
    count += o.count;
    least = fminf(least, o.least);
  }
};

struct Mass {
  uint64_t value = 0;
  __device__ void add(const Mass& o) { value += o.value; }
};

// A sum beyond 64 bits; in two words, because values of 16 bytes pass through local memory on their
// way to other lanes.
struct Wide {
  uint64_t low = 0, high = 0;

  __device__ void add(core::u128 value) {
    add(Wide{static_cast<uint64_t>(value), static_cast<uint64_t>(value >> 64)});
  }
  __device__ void add(const Wide& o) {
    low += o.low;
    high += o.high + (low < o.low);
  }
  __device__ core::u128 value() const { return (static_cast<core::u128>(high) << 64) + low; }
};

struct LowestId {
  int64_t id = INT64_MAX;
  __device__ void add(const LowestId& o) { id = id < o.id ? id : o.id; }
};

// A bin of a histogram, and the mass before it.
struct BinAt {
  uint64_t before;
  int bin;
};

// What a block knows of the bin in which a cut lies: the weight that it has before that bin, how
// many tokens and between which logits, and how many candidates are in the bin.
struct BeforeBin {
  uint64_t weight = 0;
  int64_t count = 0;
  LogitRange logits;
  uint32_t candidates = 0;

  __device__ void add(const BeforeBin& o) {
    weight += o.weight;
    count += o.count;
    logits.add(o.logits);
    candidates += o.candidates;
  }
};

// What a stage keeps: [low, high], its sums and what each block has of its mass. `found`: it is
// exact.
struct Verdict {
  Sums sums;
  float low, high;
  uint64_t mass_of_peer[kMostPeers];
  int64_t found;
};

}  // namespace aligndec::cuda
