// How the ids of a row are shared out.
#pragma once

#include <cstdint>

#include "cuda/group.cuh"
#include "cuda/vectors.cuh"

namespace aligndec::cuda {

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

}  // namespace aligndec::cuda
