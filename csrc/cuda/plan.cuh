// How rows are shared out over the device.
#pragma once

#include "cuda/row_scan.cuh"
#include "launch/half.h"

namespace aligndec::cuda {

// How many blocks share a row, and whether they keep it on the chip.
struct Plan {
  int peers;
  bool on_chip;
  int64_t storage_bytes;
};

inline Plan plan_rows(const block::Device& device, int64_t rows, int64_t n) {
  const int most = device.clusters ? kMostPeers : 1;
  const auto idle = [&](int peers) {
    return rows * peers < device.multiprocessors && Slice::length(n, peers) > kLeastSlice;
  };
  int peers = 1;
  while (peers < most && (Slice::bytes(n, peers) > kSliceBytes || idle(peers))) peers *= 2;
  const int64_t whole = static_cast<int64_t>(sizeof(Storage)) + Slice::bytes(n, peers);
  if (whole > device.storage_bytes) return {peers, false, sizeof(Storage)};
  return {peers, true, whole};
}

// Calls body(T{}) with the type of the logits.
template <class Body>
int for_type(LogitType type, Body body) {
  switch (type) {
    case LogitType::kFloat:
      return body(float{});
    case LogitType::kHalf:
      return body(c10::Half{});
    case LogitType::kBFloat16:
      return body(c10::BFloat16{});
  }
  return block::kBadArgument;
}

// What a kernel over rows is given: its task, and whether rows are kept on the chip.
template <class Task>
struct RowArgs {
  Task task;
  bool on_chip;
};

// Launches Kernel with `groups` groups of blocks.
template <class Kernel, class Task>
int launch_rows(const Task& task, const RowBatch& batch, int64_t groups,
                const block::Device& device, CUstream_st* stream) {
  const auto run = [&](const Plan& plan) {
    return block::launch<Kernel>({groups, plan.peers, plan.storage_bytes}, {task, plan.on_chip},
                                 stream);
  };
  const int error = run(plan_rows(device, groups, batch.n));
  // A part of a device may be too small for a cluster.
  return error == block::kNoRoomForCluster ? run({1, false, sizeof(Storage)}) : error;
}

}  // namespace aligndec::cuda
