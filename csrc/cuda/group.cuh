// Sums over the blocks that work on one row.
#pragma once

#include <cstdint>

#include "cuda/block.cuh"
#include "cuda/tuning.cuh"

namespace aligndec::cuda {

constexpr int kWarps = kThreads / block::kWarp;
constexpr int kSlotBytes = 48;  // of the largest value that is summed

static_assert(kMostPeers <= block::kWarp && kWarps <= block::kWarp);

// What the blocks of a row use to add up; first in the storage of each.
struct Exchange {
  alignas(16) unsigned char of_warp[kWarps][kSlotBytes];
  alignas(16) unsigned char of_block[2][kSlotBytes];
  alignas(16) unsigned char of_peer[2][kMostPeers][kSlotBytes];
  int phase;  // of the pairs: a peer may still read the last one
};

// Sums over the lanes of a warp; all lanes get it. T{} is neutral.
template <class T>
__device__ T sum_of_warp(T value) {
#pragma unroll 1
  for (int step = block::kWarp / 2; step > 0; step /= 2)
    value.add(block::from_lane(value, block::lane() ^ step));
  return value;
}

template <class T>
__device__ T& in_slot(unsigned char* slot) {
  static_assert(sizeof(T) <= kSlotBytes);
  return *reinterpret_cast<T*>(slot);
}

// Adds up what each warp brings (the same on all its lanes); all lanes of warp 0 get the block's.
template <class T>
__device__ T sum_of_block(Exchange& e, T value) {
  if (block::lane() == 0) in_slot<T>(e.of_warp[block::warp()]) = value;
  block::sync();
  if (block::warp() != 0) return T{};
  value = T{};
  if (block::lane() < kWarps) value = in_slot<T>(e.of_warp[block::lane()]);
  return sum_of_warp(value);
}

// Adds up what each warp brings over the group; afterwards every thread finds it in `total`, which
// is in the storage. Peers read from each other, so no block may leave before all have read.
template <class T>
__device__ void sum_of_warps(Exchange& e, T value, T& total) {
  value = sum_of_block(e, value);
  if (block::thread() == 0) in_slot<T>(e.of_block[e.phase]) = value;
  block::sync_peers();
  if (block::warp() == 0) {
    value = T{};
    if (block::lane() < block::peers())
      value = in_slot<T>(*block::of_peer(&e.of_block[e.phase], block::lane()));
    value = sum_of_warp(value);
    block::sync_warp();  // all lanes have read the phase
    if (block::lane() == 0) {
      total = value;
      e.phase ^= 1;
    }
  }
  block::sync();
}

// The same for a value of each thread.
template <class T>
__device__ void sum(Exchange& e, const T& value, T& total) {
  sum_of_warps(e, sum_of_warp(value), total);
}

// The same, each block sending its part to all peers before they meet: nobody reads from a peer
// afterwards. All blocks must have met before. `meanwhile()` runs once the block has met;
// each(peer, part) on one thread for each peer.
template <class T, class Meanwhile, class Each>
__device__ void send_sum(Exchange& e, const T& value, T& total, Meanwhile meanwhile, Each each) {
  T part = sum_of_block(e, sum_of_warp(value));
  if (block::warp() == 0 && block::lane() < block::peers())
    in_slot<T>(*block::of_peer(&e.of_peer[e.phase][block::rank()], block::lane())) = part;
  meanwhile();
  block::sync_peers();
  if (block::warp() == 0) {
    part = T{};
    if (block::lane() < block::peers()) {
      part = in_slot<T>(e.of_peer[e.phase][block::lane()]);
      each(block::lane(), part);
    }
    part = sum_of_warp(part);
    block::sync_warp();  // all lanes have read the phase
    if (block::lane() == 0) {
      total = part;
      e.phase ^= 1;
    }
  }
  block::sync();
}

// The mass of the block's threads before this one, each with a value of its own; `total` gets all
// of it. The block must meet before `e` is used again.
__device__ inline uint64_t mass_before(Exchange& e, uint64_t value, uint64_t& total) {
  uint64_t inclusive = value;
#pragma unroll 1
  for (int step = 1; step < block::kWarp; step *= 2) {
    const int from = block::lane() - step;
    const uint64_t other = block::from_lane(inclusive, from < 0 ? block::lane() : from);
    if (from >= 0) inclusive += other;
  }
  if (block::lane() == block::kWarp - 1) in_slot<uint64_t>(e.of_warp[block::warp()]) = inclusive;
  block::sync();
  uint64_t before = 0;
  total = 0;
#pragma unroll 1
  for (int warp = 0; warp < kWarps; ++warp) {
    if (warp == block::warp()) before = total;
    total += in_slot<uint64_t>(e.of_warp[warp]);
  }
  return before + inclusive - value;
}

}  // namespace aligndec::cuda
