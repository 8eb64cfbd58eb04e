// Steps of chains over a pool: included once per instruction set, after pool_draws.h.
//
// One turn draws the numbers of kDown steps, looks up the weights that the turn before proposed,
// decides the steps of the turn before that and counts states of the block before. Vector units do
// the first and the third, load and store units the others: the instructions are interleaved round
// by round, because no machine reorders over a whole turn.

// Decides one step; what is not certain leaves a mark in `unsure`.
struct PoolDecision {
  Word state[kVectors], accepted[kVectors], unsure = {};
  Real held[kVectors];

  explicit PoolDecision(const PoolChains& chains) {
    for (int v = 0; v < kVectors; ++v) {
      state[v] = load<Word>(chains.state + v * kWidth);
      accepted[v] = load<Word>(chains.accepted + v * kWidth);
      held[v] = load<Real>(chains.weight + v * kWidth);
    }
  }
  [[gnu::always_inline]] void step(const PoolChains& chains, int64_t position, uint64_t* states) {
    using Quick = core::QuickAccept;
    const int64_t slot = position % kPoolRing;
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      const Real w = load<Real>(&chains.proposed[slot][v * kWidth]);
      const Real a = load<Real>(&chains.uniform[slot][v * kWidth]) * held[v];
      const Word take = reinterpret_cast<Word>(a * Quick::kOver < w);
      const Word keep = reinterpret_cast<Word>(a > w * Quick::kOver + Quick::kTiny);
      unsure |= ~(take | keep);
      held[v] = choose(take, w, held[v]);
      state[v] = choose(take, load<Word>(&chains.proposal[slot][v * kWidth]), state[v]);
      accepted[v] -= take;
      store(states + v * kWidth, state[v]);
    }
  }
  bool is_certain() const {
    uint64_t any = 0;
    for (int i = 0; i < kWidth; ++i) any |= unsure[i];
    return any == 0;
  }
  void save(PoolChains& chains) const {
    for (int v = 0; v < kVectors; ++v) {
      store(chains.state + v * kWidth, state[v]);
      store(chains.accepted + v * kWidth, accepted[v]);
      store(chains.weight + v * kWidth, held[v]);
    }
  }
};

// The same steps as they are defined, one chain after the other.
static void run_exactly(const Pool& pool, PoolChains& chains, int64_t begin, int64_t end,
                        uint64_t (*states)[kPoolLanes]) {
  for (int lane = 0; lane < kPoolLanes; ++lane) {
    uint64_t& state = chains.state[lane];
    for (int64_t n = begin; n < end; ++n) {
      const auto bits = core::token_bits(chains.seed, chains.first + static_cast<uint64_t>(lane),
                                         static_cast<uint64_t>(n), core::Stream::kChain);
      const auto next = static_cast<uint64_t>(core::pool_index(bits.r2, pool.size));
      if (core::accepts(core::log_uniform(core::uniform_from_bits(bits.r)), pool.log_weight[next],
                        pool.log_weight[state])) {
        state = next;
        ++chains.accepted[lane];
      }
      states[n - begin][lane] = state;
    }
    chains.weight[lane] = pool.weight[state];
  }
}

template <bool kCounts>
static void run_block(const Pool& pool, PoolChains& chains, int64_t begin,
                      uint64_t (*states)[kPoolLanes], PoolStates waiting, uint32_t* visits) {
  constexpr int kEntries = kDown * kPoolLanes;
  constexpr int kEach = (kEntries + kRounds - kDown - 1) / (kRounds - kDown);  // in one round
  if (chains.drawn != begin) {
    const auto nothing = [](int) {};
    draw_steps(pool, chains, begin, nothing);
    draw_steps(pool, chains, begin + kDown, nothing);
    for (int i = 0; i < kEntries; ++i)
      look_up(pool, chains, begin + i / kPoolLanes, i % kPoolLanes);
  }
  PoolDecision decision(chains);
  for (int n = 0; n < kPoolSteps; n += kDown) {
    const int64_t position = begin + n;
    draw_steps(pool, chains, position + 2 * kDown, [&](int round) __attribute__((always_inline)) {
      const int step = round - (kRounds - kDown);  // the last rounds decide
      if (step >= 0) return decision.step(chains, position + step, states[n + step]);
#pragma GCC unroll 16
      for (int k = 0; k < kEach; ++k) {
        const int i = round * kEach + k, row = i / kPoolLanes, lane = i % kPoolLanes;
        if (i >= kEntries) break;
        look_up(pool, chains, position + kDown + row, lane);
        if (kCounts) count_visit(visits, waiting[n + row][lane], lane);
      }
    });
  }
  chains.drawn = begin + kPoolSteps;
  if (!decision.is_certain()) return run_exactly(pool, chains, begin, begin + kPoolSteps, states);
  decision.save(chains);
}

static void run_pool(const Pool& pool, PoolChains& chains, int64_t begin, int64_t end,
                     uint64_t (*states)[kPoolLanes], PoolStates waiting, uint32_t* visits) {
  if (end - begin == kPoolSteps) {
    return waiting ? run_block<true>(pool, chains, begin, states, waiting, visits)
                   : run_block<false>(pool, chains, begin, states, waiting, visits);
  }
  for (int i = 0; waiting && i < kPoolSteps * kPoolLanes; ++i) {
    count_visit(visits, waiting[i / kPoolLanes][i % kPoolLanes], i % kPoolLanes);
  }
  run_exactly(pool, chains, begin, end, states);
}
