// What the pool kernel reads and writes, the same for every instruction set.
#pragma once

#include <cstdint>

namespace aligndec::cpu {

// Chains that run side by side, whatever the instruction set.
constexpr int kPoolLanes = 16;
// Steps whose random numbers are held at a time, in the first cache.
constexpr int kPoolSteps = 32;

// One pool: log-weights and core::QuickAccept's weights, [size].
struct Pool {
  const double *log_weight, *weight;
  int64_t size;
};

// Where kPoolLanes chains stand; lane i draws with sequence id first + i.
struct PoolChains {
  uint64_t seed, first;
  alignas(64) uint64_t state[kPoolLanes], accepted[kPoolLanes];
  alignas(64) double weight[kPoolLanes];  // of the state
};

// Runs the steps [begin, end), at most kPoolSteps, and writes the states after each.
using RunPool = void (*)(const Pool& pool, PoolChains& chains, int64_t begin, int64_t end,
                         uint64_t (*states)[kPoolLanes]);

}  // namespace aligndec::cpu
