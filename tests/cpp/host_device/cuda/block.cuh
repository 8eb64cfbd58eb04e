// A GPU in one host thread: the names of csrc/cuda/block.cuh, so that the kernels' own source runs
// under g++. Each device thread is a fiber that runs until it waits; a group's blocks run side by
// side, groups one after the other. Who goes next is the turn of the queue, or drawn at random from
// all that can run: a kernel that lacks a barrier then gives other results.
//
// Checked on the way: barriers that not all reach, loops of barriers that do not end, writes past
// the end of a block's storage.
// Storage starts as garbage. Warps do not run in lock step.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <stdexcept>
#include <vector>

#define __device__
#define __host__
#define __forceinline__ inline

struct CUstream_st;

namespace aligndec::cuda::block {

constexpr int kWarp = 32;
constexpr int kNoRoomForCluster = 912, kBadArgument = 1;
constexpr int kStackBytes = 1 << 17, kGuardBytes = 64;
constexpr int64_t kMostSteps = 20'000'000;  // of one group
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

struct Barrier {
  int members, arrived = 0;
  std::vector<int> waiting;
};

struct Fiber {
  ucontext_t context;
  jmp_buf state;
  int block, thread, shuffles = 0;
  bool started = false, done = false;
};

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
      of_block_.push_back({threads, 0, {}});
    }
    of_group_ = {peers * threads, 0, {}};
    of_warp_.resize(static_cast<size_t>(peers * threads / kWarp), {kWarp, 0, {}});
    slots_.resize(static_cast<size_t>(peers * threads) * 2 * 64);
  }

  void run(const std::function<void()>& body, std::mt19937_64& rng) {
    body_ = &body;
    const int count = peers * threads;
    fibers_ = std::make_unique<Fiber[]>(static_cast<size_t>(count));
    static std::unique_ptr<char[]> stacks;
    static int stack_count = 0;
    if (count > stack_count) {
      stacks.reset(new char[static_cast<size_t>(count) * kStackBytes]);
      stack_count = count;
    }
    for (int i = 0; i < count; ++i) {
      Fiber& fiber = fibers_[i];
      fiber.block = i / threads;
      fiber.thread = i % threads;
      getcontext(&fiber.context);
      fiber.context.uc_stack.ss_sp = &stacks[static_cast<size_t>(i) * kStackBytes];
      fiber.context.uc_stack.ss_size = kStackBytes;
      makecontext(&fiber.context, &enter, 0);
      ready_.push_back(i);
    }
    int finished = 0;
    int64_t steps = 0;
    while (!ready_.empty()) {
      if (machine.order) std::swap(ready_.front(), ready_[rng() % ready_.size()]);
      current = &fibers_[ready_.front()];
      ready_.pop_front();
      resume();
      if (++steps > kMostSteps) throw std::runtime_error("a loop does not end");
      finished += current->done;
    }
    if (finished != count) throw std::runtime_error("a barrier was not reached by all threads");
    for (const auto& storage : storage_)
      for (int64_t i = 0; i < kGuardBytes; ++i)
        if (storage[static_cast<size_t>(aligned(storage.data()) - storage.data() +
                                        shape.storage_bytes + i)] != kGarbage)
          throw std::runtime_error("a block wrote past the end of its storage");
  }

  void wait(Barrier& barrier) {
    barrier.waiting.push_back(index());
    if (++barrier.arrived == barrier.members) {
      ready_.insert(ready_.end(), barrier.waiting.begin(), barrier.waiting.end());
      barrier.waiting.clear();
      barrier.arrived = 0;
    }
    if (_setjmp(current->state) == 0) _longjmp(scheduler_, 1);
  }
  Barrier& barrier_of_warp() { return of_warp_[static_cast<size_t>(index() / kWarp)]; }
  Barrier& barrier_of_block() { return of_block_[static_cast<size_t>(current->block)]; }
  Barrier& barrier_of_group() { return of_group_; }

  unsigned char* storage(int block) { return aligned(storage_[static_cast<size_t>(block)].data()); }
  // What a thread of the warp shows to the others, in turn in one of two places.
  unsigned char* slot(int lane) {
    const int thread = index() / kWarp * kWarp + lane;
    return &slots_[static_cast<size_t>(thread * 2 + current->shuffles % 2) * 64];
  }

  const Shape shape;
  const int threads, peers;
  const int64_t group;
  Fiber* current = nullptr;

 private:
  static unsigned char* aligned(const unsigned char* p) {
    return const_cast<unsigned char*>(p) + (-reinterpret_cast<uintptr_t>(p) & 15);
  }
  static void enter();
  int index() const { return current->block * threads + current->thread; }
  void resume() {
    if (_setjmp(scheduler_) != 0) return;
    if (current->started) _longjmp(current->state, 1);
    current->started = true;
    setcontext(&current->context);
  }

  const std::function<void()>* body_ = nullptr;
  std::vector<std::vector<unsigned char>> storage_;
  std::vector<Barrier> of_block_, of_warp_;
  Barrier of_group_{0, 0, {}};
  std::vector<unsigned char> slots_;
  std::unique_ptr<Fiber[]> fibers_;
  std::deque<int> ready_;
  jmp_buf scheduler_;
};
inline Team* team = nullptr;

inline void Team::enter() {
  (*team->body_)();
  team->current->done = true;
  _longjmp(team->scheduler_, 1);
}

inline int thread() { return team->current->thread; }
inline int threads() { return team->threads; }
inline int lane() { return thread() % kWarp; }
inline int warp() { return thread() / kWarp; }
inline int rank() { return team->current->block; }
inline int peers() { return team->peers; }
inline int64_t group() { return team->group; }
inline int64_t groups() { return team->shape.groups; }
inline void sync_warp() { team->wait(team->barrier_of_warp()); }
inline void sync() { team->wait(team->barrier_of_block()); }
inline void sync_peers() { team->wait(team->barrier_of_group()); }
inline unsigned char* storage() { return team->storage(rank()); }
template <class T>
T* of_peer(T* mine, int peer) {
  const auto offset = reinterpret_cast<unsigned char*>(mine) - storage();
  return reinterpret_cast<T*>(team->storage(peer) + offset);
}
inline uint32_t add(uint32_t* word, uint32_t value) {
  const uint32_t old = *word;
  *word += value;
  return old;
}
template <class T>
T from_lane(T value, int lane) {
  static_assert(sizeof(T) <= 64);
  std::memcpy(team->slot(thread() % kWarp), &value, sizeof(T));
  sync_warp();
  std::memcpy(&value, team->slot(lane), sizeof(T));
  ++team->current->shuffles;
  return value;
}

template <class Kernel>
int launch(const Shape& shape, const typename Kernel::Args& args, CUstream_st*) {
  if (shape.peers > machine.most_peers) return kNoRoomForCluster;
  ++machine.launches;
  machine.clusters += shape.peers > 1;
  if constexpr (requires { args.on_chip; }) machine.on_chip += args.on_chip;
  std::mt19937_64 rng(machine.order);
  for (int64_t group = 0; group < shape.groups; ++group) {
    Team running(shape, Kernel::kThreads, group);
    team = &running;
    running.run([&] { Kernel::run(args); }, rng);
  }
  return 0;
}

}  // namespace aligndec::cuda::block
