// One row of logits: each block of the group holds a slice of it, on the chip where it fits, else
// reads it again from device memory.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/logit.h"
#include "core/split_mass.h"
#include "cuda/row_state.cuh"
#include "cuda/slice.cuh"
#include "launch/adaptor_step.h"

namespace aligndec::cuda {

// The logit of a token, -inf if it does not exist.
__device__ inline float existing_logit(const RowBatch& batch, int64_t row, int64_t id) {
  if (id >= batch.n || !mask_of_row(batch, row).allows(id)) return -INFINITY;
  return logit_at(batch.logits, batch.type, row * batch.stride + id);
}

class Row {
 public:
  int first;  // id of the slice's first token
  int size;   // of the slice

  // Looks at the row once, puts it on the chip, and leaves what the group sees of it in s.seen.
  __device__ Row(Storage& s, const RowBatch& batch, int row, bool on_chip);

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

}  // namespace aligndec::cuda
