// One row of logits: each block of the group holds a slice of it, on the chip where it fits, else
// reads it again from device memory.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/logit.h"
#include "cuda/row_state.cuh"
#include "launch/adaptor_step.h"

namespace aligndec::cuda {

// The logit of a token, -inf if it does not exist.
template <class T>
__device__ float existing_logit(const RowBatch& batch, int64_t row, int64_t id) {
  if (id >= batch.n || !mask_of_row(batch, row).allows(id)) return -INFINITY;
  return static_cast<float>(static_cast<const T*>(batch.logits)[row * batch.stride + id]);
}

// How ids are shared out: a slice to each block, and of any range of a slice a stretch to each
// warp, both in the order of ids and in units of warps.
struct Slice {
  static __host__ __device__ int64_t length(int64_t n, int peers) {
    const int64_t each = (n + peers - 1) / peers;
    return (each + block::kWarp - 1) / block::kWarp * block::kWarp;
  }
  static __device__ int stretch(int range) {
    const int each = (range + kWarps - 1) / kWarps;
    return (each + block::kWarp - 1) / block::kWarp * block::kWarp;
  }

  // The lane's part of a warp's stretch: begin, begin + kWarp, ...
  struct Stretch {
    int begin, end;

    __device__ Stretch(int first, int last) {
      const int length = stretch(last - first), start = first + block::warp() * length;
      begin = start + block::lane();
      end = start + length < last ? start + length : last;
    }
  };

  // Calls body(i) for i in [begin, end).
  template <class Body>
  static __device__ void for_range(int begin, int end, Body body) {
    const Stretch mine(begin, end);
#pragma unroll 2
    for (int i = mine.begin; i < mine.end; i += block::kWarp) body(i);
  }
};

template <class T>
class Row {
 public:
  int64_t first;  // id of the slice's first token
  int size;       // of the slice

  // Also leaves what it sees of the row in s.seen.
  __device__ Row(Storage& s, const RowBatch& batch, int64_t row, bool on_chip)
      : mask_(mask_of_row(batch, row)) {
    const int64_t slice = Slice::length(batch.n, block::peers());
    const int64_t left = batch.n - block::rank() * slice;
    first = block::rank() * slice;
    size = static_cast<int>(left < 0 ? 0 : left < slice ? left : slice);
    x_ = static_cast<const T*>(batch.logits) + row * batch.stride + first;
    auto* const chip = reinterpret_cast<T*>(block::storage() + sizeof(Storage));
    Scan mine;
    // Loads go out together: a store between them would make each wait for the one before.
    constexpr int kTogether = kLoadBytes / static_cast<int>(sizeof(T));
    const Slice::Stretch lane(0, size);
    for (int i = lane.begin; i < lane.end; i += kTogether * block::kWarp) {
      float x[kTogether];
#pragma unroll
      for (int k = 0; k < kTogether; ++k) {
        const int j = i + k * block::kWarp;
        x[k] = j < lane.end ? static_cast<float>(x_[j]) : -INFINITY;
      }
#pragma unroll
      for (int k = 0; k < kTogether; ++k) {
        const int j = i + k * block::kWarp;
        if (j < lane.end && !mask_.allows(first + j)) x[k] = -INFINITY;
        mine.add_logit(x[k]);
        if (on_chip && j < lane.end) chip[j] = static_cast<T>(x[k]);  // exact
      }
    }
    sum(s.exchange, mine, s.seen);
    if (!on_chip) return;
    x_ = chip;
    mask_ = {};
  }

  // Logit i of the slice, -inf where no token exists.
  __device__ float at(int i) const {
    return mask_.allows(first + i) ? static_cast<float>(x_[i]) : -INFINITY;
  }

  // Calls body(i) for the ids of the slice: each warp has one stretch of them, in order.
  template <class Body>
  __device__ void for_ids(Body body) const {
    Slice::for_range(0, size, body);
  }

  // Calls body(x) for the logits in [low, high].
  template <class Body>
  __device__ void for_logits(float low, float high, Body body) const {
    for_ids([&](int i) {
      const float x = at(i);
      if (x >= low && x <= high) body(x);
    });
  }

 private:
  const T* x_;  // of the slice
  core::RowMask mask_;
};

}  // namespace aligndec::cuda
