// What stands for a GPU, and the group of blocks that runs on it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <random>
#include <stdexcept>
#include <vector>

#include "fibers.h"

namespace aligndec::cuda::block {

constexpr int kWarp = 32;
constexpr int kGuardBytes = 64;
constexpr unsigned char kGarbage = 0xa5;

struct Device {
  int multiprocessors, storage_bytes;
  bool clusters;
};

struct Machine {
  Device device{4, 1 << 20, true};
  int most_peers = 8;                               // of a cluster that fits
  uint64_t order = 0;                               // 0: in turn, else the seed of the order
  int64_t launches = 0, on_chip = 0, clusters = 0;  // what was asked for
};
inline Machine machine;

inline int current_device(Device* device) {
  *device = machine.device;
  return 0;
}

struct Shape {
  int64_t groups;
  int peers;
  int64_t storage_bytes;
};

// The group that runs.
class Team {
 public:
  Team(const Shape& of, int of_block, int64_t which)
      : shape(of), threads(of_block), peers(of.peers), group(which) {
    for (int block = 0; block < peers; ++block) {
      storage_.emplace_back(of.storage_bytes + kGuardBytes + 16, kGarbage);
      of_block_.push_back({threads});
    }
    of_warp_.resize(static_cast<size_t>(peers * threads / kWarp), {kWarp});
    slots_.resize(static_cast<size_t>(peers * threads) * 2 * kSlotBytes);
    shuffles_.resize(static_cast<size_t>(peers * threads));
    of_group_.members = peers * threads;
  }

  void run(const std::function<void()>& body, std::mt19937_64& rng) {
    scheduler_.run(peers * threads, body, machine.order ? &rng : nullptr);
    for (const auto& storage : storage_)
      for (int64_t i = 0; i < kGuardBytes; ++i)
        if (aligned(storage.data())[shape.storage_bytes + i] != kGarbage)
          throw std::runtime_error("a block wrote past the end of its storage");
  }

  int block() const { return scheduler_.index() / threads; }
  int thread() const { return scheduler_.index() % threads; }
  void sync_warp() { scheduler_.wait(of_warp_[static_cast<size_t>(scheduler_.index() / kWarp)]); }
  void sync_block() { scheduler_.wait(of_block_[static_cast<size_t>(block())]); }
  void sync_group() { scheduler_.wait(of_group_); }

  unsigned char* storage(int block) { return aligned(storage_[static_cast<size_t>(block)].data()); }
  // What a thread of the warp shows to the others, in turn in one of two places.
  unsigned char* slot(int lane) {
    const int thread = scheduler_.index() / kWarp * kWarp + lane;
    return &slots_[static_cast<size_t>(thread * 2 + shuffles() % 2) * kSlotBytes];
  }
  int& shuffles() { return shuffles_[static_cast<size_t>(scheduler_.index())]; }

  static constexpr size_t kSlotBytes = 64;
  const Shape shape;
  const int threads, peers;
  const int64_t group;

 private:
  static unsigned char* aligned(const unsigned char* p) {
    return const_cast<unsigned char*>(p) + (-reinterpret_cast<uintptr_t>(p) & 15);
  }

  fibers::Scheduler scheduler_;
  std::vector<std::vector<unsigned char>> storage_;
  std::vector<fibers::Barrier> of_block_, of_warp_;
  fibers::Barrier of_group_{0};
  std::vector<unsigned char> slots_;
  std::vector<int> shuffles_;
};
inline Team* team = nullptr;

}  // namespace aligndec::cuda::block
