// What a kernel asks of the machine, and nothing else: threads, barriers, storage on the chip,
// launches. The kernels stand on these names alone, so that a host program can run them as well.
//
// A group is the blocks that work on one row: a thread-block cluster, or a single block where the
// machine has no clusters. Its blocks are peers.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "launch/half.h"

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
#include <cooperative_groups.h>
#endif

namespace aligndec::cuda::block {

constexpr int kWarp = 32;

__device__ inline int thread() { return static_cast<int>(threadIdx.x); }
__device__ inline int threads() { return static_cast<int>(blockDim.x); }
__device__ inline int lane() { return thread() % kWarp; }
__device__ inline int warp() { return thread() / kWarp; }
__device__ inline void sync() { __syncthreads(); }
__device__ inline void sync_warp() { __syncwarp(); }

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900
__device__ inline int peers() {
  return static_cast<int>(cooperative_groups::this_cluster().num_blocks());
}
__device__ inline int rank() {
  return static_cast<int>(cooperative_groups::this_cluster().block_rank());
}
__device__ inline void sync_peers() { cooperative_groups::this_cluster().sync(); }
// The same variable in the storage of another block of the group.
template <class T>
__device__ T* of_peer(T* mine, int peer) {
  return cooperative_groups::this_cluster().map_shared_rank(mine, peer);
}
#else
__device__ inline int peers() { return 1; }
__device__ inline int rank() { return 0; }
__device__ inline void sync_peers() { __syncthreads(); }
template <class T>
__device__ T* of_peer(T* mine, int) {
  return mine;
}
#endif

// Which group this is, and how many there are.
__device__ inline int64_t group() { return blockIdx.x / static_cast<unsigned>(peers()); }
__device__ inline int64_t groups() { return gridDim.x / static_cast<unsigned>(peers()); }

// The block's storage, aligned to 16 bytes.
__device__ inline unsigned char* storage() {
  extern __shared__ __align__(16) unsigned char bytes[];
  return bytes;
}

// Adds to a word of the block's storage; returns what was there.
__device__ inline uint32_t add(uint32_t* word, uint32_t value) { return atomicAdd(word, value); }

// Widens [least, most] to two more numbers of half precision; NaN becomes the most.
template <class T>
__device__ void widen_pairs(uint32_t& least, uint32_t& most, uint32_t pair) {
  if constexpr (std::is_same_v<T, c10::Half>) {
    asm("min.f16x2 %0, %0, %1;" : "+r"(least) : "r"(pair));
    asm("max.NaN.f16x2 %0, %0, %1;" : "+r"(most) : "r"(pair));
  } else {
    asm("min.bf16x2 %0, %0, %1;" : "+r"(least) : "r"(pair));
    asm("max.NaN.bf16x2 %0, %0, %1;" : "+r"(most) : "r"(pair));
  }
}

// A value of another lane; all lanes of the warp take part.
template <class T>
__device__ T from_lane(T value, int lane) {
  static_assert(sizeof(T) % 4 == 0);
  uint32_t words[sizeof(T) / 4];
  memcpy(words, &value, sizeof(T));
#pragma unroll
  for (uint32_t& word : words) word = __shfl_sync(0xffffffffu, word, lane);
  memcpy(&value, words, sizeof(T));
  return value;
}

// The device that launches go to.
struct Device {
  int multiprocessors, storage_bytes;  // the most that a block can have
  bool clusters;
};

inline int current_device(Device* device) {
  int id = 0, clusters = 0;
  cudaError_t error = cudaGetDevice(&id);
  const auto get = [&](int* value, cudaDeviceAttr attribute) {
    if (error == cudaSuccess) error = cudaDeviceGetAttribute(value, attribute, id);
  };
  get(&device->multiprocessors, cudaDevAttrMultiProcessorCount);
  get(&device->storage_bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin);
  get(&clusters, cudaDevAttrClusterLaunch);
  device->clusters = clusters != 0;
  return error;
}

struct Shape {
  int64_t groups;
  int peers;
  int64_t storage_bytes;
};

template <class Kernel>
__global__ void __launch_bounds__(Kernel::kThreads, Kernel::kBlocksPerSm)
    entry(const __grid_constant__ typename Kernel::Args args) {
  Kernel::run(args);
}

constexpr int kNoRoomForCluster = cudaErrorInvalidClusterSize;
constexpr int kBadArgument = cudaErrorInvalidValue;

// Runs Kernel::run(args) on every thread of the groups. Returns a cudaError_t.
template <class Kernel>
int launch(const Shape& shape, const typename Kernel::Args& args, CUstream_st* stream) {
  if (shape.groups == 0) return cudaSuccess;
  auto* const kernel = &entry<Kernel>;
  const auto bytes = static_cast<int>(shape.storage_bytes);
  if (const cudaError_t error =
          cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes))
    return error;
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {static_cast<unsigned>(shape.peers), 1, 1};
  cudaLaunchConfig_t config{};
  config.gridDim = static_cast<unsigned>(shape.groups * shape.peers);
  config.blockDim = Kernel::kThreads;
  config.dynamicSmemBytes = static_cast<size_t>(bytes);
  config.stream = stream;
  config.attrs = &cluster;
  config.numAttrs = shape.peers > 1 ? 1 : 0;
  const cudaError_t error = cudaLaunchKernelEx(&config, kernel, args);
  if (error == kNoRoomForCluster) cudaGetLastError();  // the caller has another shape to try
  return error;
}

}  // namespace aligndec::cuda::block
