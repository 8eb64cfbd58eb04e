// A GPU in one host thread: the names of csrc/cuda/block.cuh, so that the kernels' own source runs
// under g++. Each device thread is a fiber; a group's blocks run side by side, groups one after the
// other. In random order, a kernel that lacks a barrier may give other results; under
// ThreadSanitizer its race is reported, in storage as in device memory, in a group as between
// groups.
//
// Checked on the way: what fibers.h checks, and writes past the end of a block's storage. Storage
// is garbage at the start, and again when its block has ended. Warps do not run in lock step.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "machine.h"

#define __device__
#define __host__
#define __forceinline__ inline

struct CUstream_st;

namespace aligndec::cuda::block {

constexpr int kNoRoomForCluster = 912, kBadArgument = 1;

inline int thread() { return team().thread(); }
inline int threads() { return team().threads; }
inline int lane() { return thread() % kWarp; }
inline int warp() { return thread() / kWarp; }
inline int rank() { return team().block(); }
inline int peers() { return team().peers; }
inline int64_t group() { return team().group; }
inline int64_t groups() { return team().shape.groups; }
inline void sync_warp() { team().sync_warp(); }
inline void sync() { team().sync_block(); }
inline void sync_peers() { team().sync_group(); }
inline unsigned char* storage() { return team().storage(rank()); }
template <class T>
T* of_peer(T* mine, int peer) {
  const auto offset = reinterpret_cast<unsigned char*>(mine) - storage();
  return reinterpret_cast<T*>(team().storage(peer) + offset);
}
// Atomic, and no barrier.
inline uint32_t add(uint32_t* word, uint32_t value) {
  return __atomic_fetch_add(word, value, __ATOMIC_RELAXED);
}
template <class T>
void widen_pairs(uint32_t& least, uint32_t& most, uint32_t pair) {
  T x[2], low[2], high[2];
  std::memcpy(x, &pair, sizeof(pair));
  std::memcpy(low, &least, sizeof(least));
  std::memcpy(high, &most, sizeof(most));
  for (int k = 0; k < 2; ++k) {
    const auto value = static_cast<float>(x[k]), top = static_cast<float>(high[k]);
    low[k] = static_cast<T>(std::fmin(static_cast<float>(low[k]), value));
    if (!(value <= top) && top == top) high[k] = x[k];
  }
  std::memcpy(&least, low, sizeof(least));
  std::memcpy(&most, high, sizeof(most));
}
template <class T>
T from_lane(T value, int lane) {
  return team().from_lane(value, lane);
}

template <class Kernel>
int launch(const Shape& shape, const typename Kernel::Args& args, CUstream_st*) {
  if (shape.peers > machine.most_peers) return kNoRoomForCluster;
  ++machine.launches;
  machine.clusters += shape.peers > 1;
  if constexpr (requires { args.on_chip; }) machine.on_chip += args.on_chip;
  run_groups(shape, Kernel::kThreads, [&] { Kernel::run(args); });
  return 0;
}

}  // namespace aligndec::cuda::block
