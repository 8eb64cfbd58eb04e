// What the pool kernel reads and writes, the same for every instruction set.
#pragma once

#include <cstdint>

namespace aligndec::cpu {

// Chains that run side by side, whatever the instruction set.
constexpr int kPoolLanes = 16;
// Steps that are decided before anybody looks whether all decisions were certain.
constexpr int kPoolSteps = 32;
// Steps whose numbers are held: those drawn, those looked up and those decided in one turn.
constexpr int kPoolRing = 8;

// One pool: log-weights and core::QuickAccept's weights, [size].
struct Pool {
  const double *log_weight, *weight;
  int64_t size;
};

// The states of a group after each of some steps.
using PoolStates = const uint64_t (*)[kPoolLanes];

// Where kPoolLanes chains stand; lane i draws with sequence id first + i.
struct PoolChains {
  uint64_t seed, first;
  alignas(64) uint64_t state[kPoolLanes], accepted[kPoolLanes];
  alignas(64) double weight[kPoolLanes];  // of the state
  // Numbers of the steps from `drawn` on, a few of which are drawn ahead; 0: none are.
  int64_t drawn;
  alignas(64) double uniform[kPoolRing][kPoolLanes], proposed[kPoolRing][kPoolLanes];
  alignas(64) uint64_t proposal[kPoolRing][kPoolLanes];
};

// How often each entry was the state of each chain, [size, kPoolLanes]: chains that like the same
// entries share their cache lines.
inline void count_visit(uint32_t* visits, uint64_t state, int lane) {
  ++visits[state * kPoolLanes + static_cast<uint64_t>(lane)];
}

// Runs the steps [begin, end), at most kPoolSteps, and writes the states after each. Meanwhile the
// kPoolSteps states of `waiting`, unless it is null, are counted.
using RunPool = void (*)(const Pool& pool, PoolChains& chains, int64_t begin, int64_t end,
                         uint64_t (*states)[kPoolLanes], PoolStates waiting, uint32_t* visits);

}  // namespace aligndec::cpu
