// Steps of chains over a pool: included once per instruction set, inside its namespace and under
// its target pragma, after a Simd was defined. Chains lie across the lanes, so that what a chain
// brings to Philox is computed once for all of its steps.

using Word = Simd::Word;  // integers of 64 bits
constexpr int kWidth = sizeof(Word) / sizeof(uint64_t);
typedef double Real __attribute__((vector_size(sizeof(Word))));

static inline Word load_words(const uint64_t* p) {
  Word w;
  __builtin_memcpy(&w, p, sizeof w);
  return w;
}
static inline Real load_reals(const double* p) {
  Real r;
  __builtin_memcpy(&r, p, sizeof r);
  return r;
}
template <class V, class T>
static inline void store(T* p, V v) {
  __builtin_memcpy(p, &v, sizeof v);
}

template <class V>
static inline V choose(Word mask, V yes, V no) {
  return reinterpret_cast<V>((reinterpret_cast<Word>(yes) & mask) |
                             (reinterpret_cast<Word>(no) & ~mask));
}

// core::token_bits of kWidth sequences: the four words, with anything in the high halves. Two
// vectors of sequences take turns, because each round waits for the one before.
struct PhiloxWords {
  Word c0, c1, c2, c3;
};
[[gnu::always_inline]] static inline void pool_bits(uint64_t seed, const Word (&sequence)[2],
                                                    uint64_t position, PhiloxWords (&out)[2]) {
  const Word mul0 = Word{} + core::Philox::kMul0, mul1 = Word{} + core::Philox::kMul1;
  uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
  for (int i = 0; i < 2; ++i) {
    out[i] = {sequence[i], sequence[i] >> 32, Word{} + position,
              Word{} + static_cast<uint64_t>(core::Stream::kChain)};
  }
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    Word p0[2], p1[2];
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) p0[i] = Simd::multiply(out[i].c0, mul0);
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) p1[i] = Simd::multiply(out[i].c2, mul1);
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i) {
      out[i] = {(p1[i] >> 32) ^ out[i].c1 ^ (Word{} + key0), p1[i],
                (p0[i] >> 32) ^ out[i].c3 ^ (Word{} + key1), p0[i]};
    }
    key0 += core::Philox::kWeyl0;
    key1 += core::Philox::kWeyl1;
  }
}

// core::uniform_from_bits: the 32 leading bits and the 21 next ones become doubles of which only
// the low mantissa bits count, 2^20 + high 2^-32 and 1/2 + low 2^-53; both sums are exact.
[[gnu::always_inline]] static inline Real pool_uniform(const PhiloxWords& o) {
  const Word high = (o.c1 & (Word{} + 0xffffffffu)) | (Word{} + 0x4130000000000000u);
  const Word low = ((o.c0 << 32) >> 43) | (Word{} + 0x3fe0000000000000u);
  return (reinterpret_cast<Real>(high) - (0x1p20 + 0.5)) + reinterpret_cast<Real>(low);
}

// core::pool_index for a pool of less than 2^32 entries.
[[gnu::always_inline]] static inline Word pool_indices(const PhiloxWords& o, Word size) {
  return (Simd::multiply(o.c3, size) + (Simd::multiply(o.c2, size) >> 32)) >> 32;
}

// The same steps as they are defined, one chain after the other.
static void run_exactly(const Pool& pool, PoolChains& chains, int64_t steps,
                        const double (*uniform)[kPoolLanes], const uint64_t (*proposal)[kPoolLanes],
                        uint64_t (*states)[kPoolLanes]) {
  for (int lane = 0; lane < kPoolLanes; ++lane) {
    for (int64_t n = 0; n < steps; ++n) {
      const uint64_t next = proposal[n][lane];
      if (core::accepts(core::log_uniform(uniform[n][lane]), pool.log_weight[next],
                        pool.log_weight[chains.state[lane]])) {
        chains.state[lane] = next;
        ++chains.accepted[lane];
      }
      states[n][lane] = chains.state[lane];
    }
    chains.weight[lane] = pool.weight[chains.state[lane]];
  }
}

static void run_pool(const Pool& pool, PoolChains& chains, int64_t begin, int64_t end,
                     uint64_t (*states)[kPoolLanes]) {
  using Quick = core::QuickAccept;
  alignas(64) double uniform[kPoolSteps][kPoolLanes], weight[kPoolSteps][kPoolLanes];
  alignas(64) uint64_t proposal[kPoolSteps][kPoolLanes];
  const int64_t steps = end - begin;
  Word lanes;
  for (int i = 0; i < kWidth; ++i) lanes[i] = static_cast<uint64_t>(i);
  for (int lane = 0; lane < kPoolLanes; lane += 2 * kWidth) {
    const Word left = lanes + (chains.first + static_cast<uint64_t>(lane));
    for (int64_t n = 0; n < steps; ++n) {
      PhiloxWords o[2];
      pool_bits(chains.seed, {left, left + kWidth}, static_cast<uint64_t>(begin + n), o);
#pragma GCC unroll 2
      for (int i = 0; i < 2; ++i) {
        const int at = lane + i * kWidth;
        store(&uniform[n][at], pool_uniform(o[i]));
        store(&proposal[n][at], pool_indices(o[i], Word{} + static_cast<uint64_t>(pool.size)));
      }
    }
  }
  for (int64_t n = 0; n < steps; ++n) {
#pragma GCC unroll 8
    for (int lane = 0; lane < kPoolLanes; ++lane) {
      auto bits = core::bit_cast<uint64_t>(pool.weight[proposal[n][lane]]);
      asm("" : "+r"(bits));  // word by word: gathers, and vectors built in registers, are slower
      weight[n][lane] = core::bit_cast<double>(bits);
    }
  }
  constexpr int kVectors = kPoolLanes / kWidth;
  Word state[kVectors], accepted[kVectors], unsure = {};
  Real held[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    state[v] = load_words(chains.state + v * kWidth);
    accepted[v] = load_words(chains.accepted + v * kWidth);
    held[v] = load_reals(chains.weight + v * kWidth);
  }
  for (int64_t n = 0; n < steps; ++n) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) {
      const Real w = load_reals(&weight[n][v * kWidth]);
      const Real a = load_reals(&uniform[n][v * kWidth]) * held[v];
      const Word take = reinterpret_cast<Word>(a * Quick::kOver < w);
      const Word keep = reinterpret_cast<Word>(a > w * Quick::kOver + Quick::kTiny);
      unsure |= ~(take | keep);
      const Word next = load_words(&proposal[n][v * kWidth]);
      held[v] = choose(take, w, held[v]);
      state[v] = choose(take, next, state[v]);
      accepted[v] -= take;
      store(&states[n][v * kWidth], state[v]);
    }
  }
  for (int i = 1; i < kWidth; ++i) unsure[0] |= unsure[i];
  if (unsure[0]) return run_exactly(pool, chains, steps, uniform, proposal, states);
  for (int v = 0; v < kVectors; ++v) {
    store(chains.state + v * kWidth, state[v]);
    store(chains.accepted + v * kWidth, accepted[v]);
    store(chains.weight + v * kWidth, held[v]);
  }
}
