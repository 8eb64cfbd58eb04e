// What the chains of a pool draw and look up: included once per instruction set, after
// philox_lanes.h. Chains lie across the lanes, so that what a chain brings to Philox is computed
// once for all of its steps.

constexpr int kVectors = kPoolLanes / kWidth;                        // vectors of one step
constexpr int kAcross = kTurns < kVectors ? kTurns : kVectors;       // of them in one set of rounds
constexpr int kDown = kTurns / kAcross;                              // steps of one turn
constexpr int kRounds = core::Philox::kRounds * kVectors / kAcross;  // of one turn
static_assert(kVectors % kAcross == 0 && kPoolSteps % kDown == 0 && kPoolRing >= 3 * kDown);

// core::pool_index for a pool of less than 2^32 entries.
[[gnu::always_inline]] static inline Word pool_indices(const PhiloxWords& o, Word size) {
  return (Simd::multiply(o.c3, size) + (Simd::multiply(o.c2, size) >> 32)) >> 32;
}

// Draws the steps [position, position + kDown), and calls between(0), …, between(kRounds - 1).
template <class Between>
[[gnu::always_inline]] static inline void draw_steps(const Pool& pool, PoolChains& chains,
                                                     int64_t position, Between between) {
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; v += kAcross) {
    PhiloxWords w[kTurns];
#pragma GCC unroll 8
    for (int i = 0; i < kTurns; ++i) {
      const auto lane = static_cast<uint64_t>((v + i % kAcross) * kWidth);
      w[i] = chain_counter(lane_numbers() + (chains.first + lane),
                           Word{} + static_cast<uint64_t>(position + i / kAcross));
    }
    philox_rounds(chains.seed, w, [&](int round) __attribute__((always_inline)) {
      between(v / kAcross * core::Philox::kRounds + round);
    });
#pragma GCC unroll 8
    for (int i = 0; i < kTurns; ++i) {
      const int64_t slot = (position + i / kAcross) % kPoolRing;
      const int lane = (v + i % kAcross) * kWidth;
      store(&chains.uniform[slot][lane], philox_uniform(w[i]));
      store(&chains.proposal[slot][lane],
            pool_indices(w[i], Word{} + static_cast<uint64_t>(pool.size)));
    }
  }
}

[[gnu::always_inline]] static inline void look_up(const Pool& pool, PoolChains& chains,
                                                  int64_t position, int lane) {
  const int64_t slot = position % kPoolRing;
  auto bits = core::bit_cast<uint64_t>(pool.weight[chains.proposal[slot][lane]]);
  asm("" : "+r"(bits));  // word by word: gathers, and vectors built in registers, are slower
  chains.proposed[slot][lane] = core::bit_cast<double>(bits);
}
