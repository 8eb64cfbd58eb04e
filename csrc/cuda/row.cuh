// One row of logits: each block of the group holds a slice of it, on the chip where it fits, else
// reads it again from device memory.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/logit.h"
#include "core/split_mass.h"
#include "cuda/row_state.cuh"
#include "cuda/vectors.cuh"
#include "launch/adaptor_step.h"

namespace aligndec::cuda {

// The logit of a token, -inf if it does not exist.
__device__ inline float existing_logit(const RowBatch& batch, int64_t row, int64_t id) {
  if (id >= batch.n || !mask_of_row(batch, row).allows(id)) return -INFINITY;
  return logit_at(batch.logits, batch.type, row * batch.stride + id);
}

// How ids are shared out: a slice to each block, and of any range of a slice a stretch to each
// warp, both in the order of ids and in units of warps.
struct Slice {
  static __host__ __device__ int64_t length(int64_t n, int peers) {
    const int64_t each = (n + peers - 1) / peers;
    return (each + block::kWarp - 1) / block::kWarp * block::kWarp;
  }
  // What a slice takes on the chip: float32 of any type, so that no later pass converts; it keeps
  // the place that the slice has between two multiples of 16 bytes.
  static __host__ __device__ int64_t bytes(int64_t n, int peers) {
    return (length(n, peers) + 2 * kMostInVector) * static_cast<int64_t>(sizeof(float));
  }
  static __device__ int stretch(int range) {
    const int each = (range + kWarps - 1) / kWarps;
    return (each + block::kWarp - 1) / block::kWarp * block::kWarp;
  }

  // Calls body(i) for i in [begin, end): each warp has one stretch of it, in order.
  template <class Body>
  static __device__ void for_range(int begin, int end, Body body) {
    const int length = stretch(end - begin), start = begin + block::warp() * length;
    const int stop = start + length < end ? start + length : end;
#pragma unroll 1
    for (int i = start + block::lane(); i < stop; i += block::kWarp) body(i);
  }
};

class Row {
 public:
  int first;  // id of the slice's first token
  int size;   // of the slice

  // Also leaves what the group sees of the row in s.seen.
  __device__ Row(Storage& s, const RowBatch& batch, int row, bool on_chip)
      : batch_(batch), row_(row), on_chip_(on_chip) {
    const auto n = static_cast<int>(batch.n);
    const auto slice = static_cast<int>(Slice::length(n, block::peers()));
    const int left = n - block::rank() * slice;
    first = block::rank() * slice;
    size = left < 0 ? 0 : left < slice ? left : slice;
    Scan mine;
    if (batch.type == LogitType::kFloat) mine = scan<float>();
    if (batch.type == LogitType::kHalf) mine = scan<c10::Half>();
    if (batch.type == LogitType::kBFloat16) mine = scan<c10::BFloat16>();
    sum(s.exchange, mine, s.seen);
    Mass existing;
    if (s.seen.least > -INFINITY) {
      if (thread() == 0) s.existing.value = static_cast<uint64_t>(batch.n);
    } else if (s.seen.status() == core::kOk) {
      for_logits(
          [&](const auto& x) {
            for (const float each : x) existing.value += each > -INFINITY;
          },
          [](int) {});
      send_sum(s.exchange, existing, s.existing, [] {}, [](int, const Mass&) {});
    }
  }

  // Logit i of the slice, -inf where no token exists.
  __device__ float at(int i) const { return on_chip_ ? chip()[lead_ + i] : load(i); }

  // Calls body(i) for the ids of the slice: each warp has one stretch of them, in order.
  template <class Body>
  __device__ void for_ids(Body body) const {
    Slice::for_range(0, size, body);
  }

  // Calls body(x) with a few logits at a time, in no order, -inf where there is none; and
  // settle(how many) before it has seen more than core::kMostHalves.
  template <class Body, class Settle>
  __device__ void for_logits(Body body, Settle settle) const {
    for_places(0, places(), thread(), kThreads, body, settle);
  }

  // Calls body(x) for the logits in [low, high].
  template <class Body>
  __device__ void for_interval(float low, float high, Body body) const {
    for_ids([&](int i) {
      const float x = at(i);
      if (x >= low && x <= high) body(x);
    });
  }

  // The slice in places [0, places()): in the order of ids, with some places that have none.
  __device__ int places() const { return on_chip_ ? padded_ : size; }
  __device__ float at_place(int place) const { return on_chip_ ? chip()[place] : load(place); }
  __device__ int64_t id_at(int place) const { return first + place - (on_chip_ ? lead_ : 0); }
  // Places that a warp has of all of them.
  __device__ int stretch() const {
    constexpr int kUnit = 4 * block::kWarp;
    return ((places() + kWarps - 1) / kWarps + kUnit - 1) / kUnit * kUnit;
  }
  // As for_logits, in the places of this warp.
  template <class Body, class Settle>
  __device__ void for_stretch(Body body, Settle settle) const {
    const int begin = block::warp() * stretch(), rest = places() - begin;
    const int end = begin + (rest < stretch() ? rest : stretch());
    for_places(begin, end, block::lane(), block::kWarp, body, settle);
  }

 private:
  // Calls body with the logits in [begin, end), for one of `of` threads that share them.
  template <class Body, class Settle>
  __device__ void for_places(int begin, int end, int which, int of, Body body,
                             Settle settle) const {
    if (on_chip_) {
      const int step = of * 4, most = core::kMostHalves / 4 * step;
      const float* const logits = chip();
      for (int i = begin + which * 4; i < end;) {
        const int start = i, stop = end - i < most ? end : i + most;
#pragma unroll 1
        for (; i < stop; i += step) {
          const Four four = *reinterpret_cast<const Four*>(logits + i);
          body(four.x);
        }
        settle((i - start) / (step / 4));
      }
    } else {
      const int most = core::kMostHalves * of;
      for (int i = begin + which; i < end;) {
        const int start = i, stop = end - i < most ? end : i + most;
#pragma unroll 1
        for (; i < stop; i += of) {
          const float x[1] = {load(i)};
          body(x);
        }
        settle((i - start) / of);
      }
    }
  }

  static __device__ float* chip() {
    return reinterpret_cast<float*>(block::storage() + sizeof(Storage));
  }
  // Logit i as it is in device memory: the one place where a pass reads it.
  __device__ float load(int i) const {
    if (!mask_of_row(batch_, row_).allows(first + i)) return -INFINITY;
    return logit_at(batch_.logits, batch_.type, row_ * batch_.stride + first + i);
  }

  // Looks at the slice once, and puts it on the chip.
  template <class T>
  __device__ Scan scan();

  const RowBatch& batch_;
  const int row_;
  const bool on_chip_;
  int lead_ = 0, padded_ = 0;  // on the chip: -inf before and after the slice
};

template <class T>
__device__ Scan Row::scan() {
  constexpr int kEach = kInVector<T>, kTogether = 4;
  const T* const x = static_cast<const T*>(batch_.logits) + row_ * batch_.stride + first;
  lead_ = static_cast<int>(reinterpret_cast<uintptr_t>(x) / sizeof(T) % kEach);
  const int end = lead_ + size;
  padded_ = (end + kEach - 1) / kEach * kEach;
  float* const logits = chip();
  const bool keep = on_chip_;
  Scan mine;
  const core::RowMask mask = mask_of_row(batch_, row_);
  // One by one: a row with a mask, and the ends of any other.
  const auto one = [&](int c) {
    const int i = c - lead_;
    const bool exists = i >= 0 && i < size;
    const float value = exists && mask.allows(first + i) ? static_cast<float>(x[i]) : -INFINITY;
    if (keep) logits[c] = value;
    if (!exists) return;
    if (!(value < INFINITY)) mine.bad = 1;
    mine.top = fmaxf(mine.top, value);
    mine.least = fminf(mine.least, value);
  };
  const bool single = batch_.allowed || batch_.allowed_bits;
  const int from = single || size == 0 ? padded_ / kEach : (lead_ + kEach - 1) / kEach;
  const int to = single || size == 0 ? from : end / kEach;
  if (from >= to) {
#pragma unroll 1
    for (int c = thread(); c < padded_; c += kThreads) one(c);
    return mine;
  }
  if (thread() < from * kEach) one(thread());
  if (to * kEach + thread() < padded_) one(to * kEach + thread());
  const auto* const vectors = reinterpret_cast<const Vector<T>*>(x - lead_);
  // Loads go out together: a store between them would make each wait for the one before.
  VectorExtent<T> extent;
  const auto together = [&](int v, auto within) {
    Vector<T> four[kTogether];
#pragma unroll
    for (int k = 0; k < kTogether; ++k)
      if (within(v + k * kThreads)) four[k] = vectors[v + k * kThreads];
#pragma unroll
    for (int k = 0; k < kTogether; ++k) {
      if (!within(v + k * kThreads)) continue;
      extent.add(four[k]);
      auto* const there = reinterpret_cast<Four*>(logits + (v + k * kThreads) * kEach);
#pragma unroll
      for (int part = 0; part < kEach / 4; ++part)
        if (keep) there[part] = four[k].four(part);
    }
  };
  int v = from + thread();
  for (; v + (kTogether - 1) * kThreads < to; v += kTogether * kThreads)  // hot: scan
    together(v, [](int) { return true; });
  together(v, [to](int i) { return i < to; });
  const float most = extent.most();
  if (!(most < INFINITY)) mine.bad = 1;
  mine.top = fmaxf(mine.top, most);
  mine.least = fminf(mine.least, extent.least());
  return mine;
}

}  // namespace aligndec::cuda
