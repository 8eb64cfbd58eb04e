// Logits of the three types: one at a time, and 16 bytes at a time.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/hd.h"
#include "cuda/block.cuh"
#include "launch/adaptor_step.h"
#include "launch/half.h"

namespace aligndec::cuda {

__device__ inline float logit_at(const void* logits, LogitType type, int64_t i) {
  if (type == LogitType::kFloat) return static_cast<const float*>(logits)[i];
  return type == LogitType::kHalf
             ? static_cast<float>(static_cast<const c10::Half*>(logits)[i])
             : static_cast<float>(static_cast<const c10::BFloat16*>(logits)[i]);
}

struct alignas(16) Four {
  float x[4];
};

template <class T>
constexpr int kInVector = 16 / static_cast<int>(sizeof(T));
constexpr int kMostInVector = 8;

template <class T>
struct alignas(16) Vector {
  uint32_t word[4];

  // Logits 4 part ... 4 part + 3 as float32, exactly.
  __device__ Four four(int part) const {
    Four out;
    if constexpr (sizeof(T) == 4) {
      memcpy(&out, word, sizeof(out));
    } else {
      T halves[4];
      memcpy(halves, word + 2 * part, sizeof(halves));
#pragma unroll
      for (int k = 0; k < 4; ++k) out.x[k] = static_cast<float>(halves[k]);
    }
    return out;
  }
};

// The largest (NaN if there is one) and the least of the logits of vectors.
template <class T>
struct VectorExtent {
  uint32_t most_pair, least_pair;

  __device__ VectorExtent() {
    const T ends[4] = {static_cast<T>(-INFINITY), static_cast<T>(-INFINITY),
                       static_cast<T>(INFINITY), static_cast<T>(INFINITY)};
    memcpy(&most_pair, ends, sizeof(most_pair));
    memcpy(&least_pair, ends + 2, sizeof(least_pair));
  }
  __device__ void add(const Vector<T>& v) {
#pragma unroll
    for (const uint32_t word : v.word) block::widen_pairs<T>(least_pair, most_pair, word);
  }
  __device__ float most() const { return core::max_or_nan(part(most_pair, 0), part(most_pair, 1)); }
  __device__ float least() const { return fminf(part(least_pair, 0), part(least_pair, 1)); }

 private:
  static __device__ float part(uint32_t pair, int k) {
    T x[2];
    memcpy(x, &pair, sizeof(pair));
    return static_cast<float>(x[k]);
  }
};
template <>
struct VectorExtent<float> {
  float largest = -INFINITY, smallest = INFINITY;

  __device__ void add(const Vector<float>& v) {
    const Four four = v.four(0);
#pragma unroll
    for (const float x : four.x) {
      largest = core::max_or_nan(largest, x);
      smallest = fminf(smallest, x);
    }
  }
  __device__ float most() const { return largest; }
  __device__ float least() const { return smallest; }
};

}  // namespace aligndec::cuda
