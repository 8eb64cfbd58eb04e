// What stands for a GPU, and the group of blocks that runs on it. Not split: the group is the state
// that the machine switches, and each function here needs both.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <numeric>
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
    const auto all = static_cast<size_t>(peers * threads);
    of_warp_.resize(all / kWarp, {kWarp});
    slots_.resize(all * 2 * kSlotBytes);
    shuffles_.resize(all);
    of_group_.members = peers * threads;
    gone_.resize(static_cast<size_t>(peers));
    exits_.resize(static_cast<size_t>(peers));
  }

  void run(fibers::Scheduler& scheduler) {
    scheduler_ = &scheduler;
    scheduler.run(peers * threads);
    for (const auto& storage : storage_)
      for (int64_t i = 0; i < kGuardBytes; ++i)
        if (aligned(storage.data())[shape.storage_bytes + i] != kGarbage)
          throw std::runtime_error("a block wrote past the end of its storage");
  }
  // The last thread of a block to end takes its storage along: peers may not touch it any more.
  void leave_block() {
    char& exit = exits_[static_cast<size_t>(block())];
    race_detector::release(exit);
    if (!is_last_of_block()) return;
    race_detector::acquire(exit);
    std::memset(storage(block()), kGarbage, static_cast<size_t>(shape.storage_bytes));
  }

  HOST_MACHINE int block() const { return scheduler_->index() / threads; }
  HOST_MACHINE int thread() const { return scheduler_->index() % threads; }
  HOST_MACHINE void sync_warp() { scheduler_->wait(warp_barrier()); }
  HOST_MACHINE void sync_block() { scheduler_->wait(of_block_[static_cast<size_t>(block())]); }
  HOST_MACHINE void sync_group() { scheduler_->wait(of_group_); }

  HOST_MACHINE unsigned char* storage(int block) const {
    return aligned(storage_[static_cast<size_t>(block)].data());
  }

  // A value of another lane. A shuffle hands it over and orders no memory.
  template <class T>
  HOST_MACHINE T from_lane(T value, int lane) {
    static_assert(sizeof(T) <= kSlotBytes);
    copy(slot(thread() % kWarp), reinterpret_cast<unsigned char*>(&value), sizeof(T));
    scheduler_->wait(warp_barrier(), false);
    copy(reinterpret_cast<unsigned char*>(&value), slot(lane), sizeof(T));
    ++shuffles_[static_cast<size_t>(scheduler_->index())];
    return value;
  }

  const Shape shape;
  const int threads, peers;
  const int64_t group;

 private:
  static constexpr size_t kSlotBytes = 64;

  static unsigned char* aligned(const unsigned char* p) {
    return const_cast<unsigned char*>(p) + (-reinterpret_cast<uintptr_t>(p) & 15);
  }
  HOST_MACHINE fibers::Barrier& warp_barrier() {
    return of_warp_[static_cast<size_t>(scheduler_->index() / kWarp)];
  }
  // What a thread of the warp shows to the others, in turn in one of two places.
  HOST_MACHINE unsigned char* slot(int lane) {
    const int thread = scheduler_->index() / kWarp * kWarp + lane;
    const int turn = shuffles_[static_cast<size_t>(scheduler_->index())] % 2;
    return &slots_[static_cast<size_t>(thread * 2 + turn) * kSlotBytes];
  }
  // Not memcpy, which the race detector watches wherever it is called from.
  HOST_MACHINE static void copy(volatile unsigned char* to, const volatile unsigned char* from,
                                size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) to[i] = from[i];
  }

  HOST_MACHINE bool is_last_of_block() { return ++gone_[static_cast<size_t>(block())] == threads; }

  fibers::Scheduler* scheduler_ = nullptr;
  std::vector<std::vector<unsigned char>> storage_;
  std::vector<fibers::Barrier> of_block_, of_warp_;
  fibers::Barrier of_group_{0};
  std::vector<unsigned char> slots_;
  std::vector<int> shuffles_, gone_;
  std::vector<char> exits_;
};

// The one group that runs at a time.
inline Team* running_team = nullptr;
HOST_MACHINE inline Team& team() { return *running_team; }

// Runs kernel() on every thread of the groups. They take turns, but nothing orders them: storage is
// kept until the end, as if all had run side by side.
inline void run_groups(const Shape& shape, int threads, const std::function<void()>& kernel) {
  std::mt19937_64 rng(machine.order);
  std::vector<int64_t> order(static_cast<size_t>(shape.groups));
  std::iota(order.begin(), order.end(), 0);
  if (machine.order) std::shuffle(order.begin(), order.end(), rng);
  const std::function<void()> body = [&] {
    kernel();
    team().leave_block();
  };
  std::deque<Team> teams;
  fibers::Scheduler scheduler(body, machine.order ? &rng : nullptr);
  for (const int64_t group : order) {
    running_team = &teams.emplace_back(shape, threads, group);
    running_team->run(scheduler);
    if (!race_detector::kOn) teams.pop_back();
  }
}

}  // namespace aligndec::cuda::block
