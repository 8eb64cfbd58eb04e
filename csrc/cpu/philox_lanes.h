// Philox4x32-10 across vector lanes: included once per instruction set, after lanes.h. One 32-bit
// word per 64-bit lane, which is what a widening multiplication reads and writes; the high halves
// hold anything.

// Vectors that take turns, because each round of one waits for the round before.
constexpr int kTurns = 4;

// core::token_bits of a sequence and a position per lane, in place of the counter.
struct PhiloxWords {
  Word c0, c1, c2, c3;
};
[[gnu::always_inline]] static inline PhiloxWords chain_counter(Word sequence, Word position) {
  return {sequence, sequence >> 32, position, Word{} + static_cast<uint64_t>(core::Stream::kChain)};
}
// `between` is called with the number of each round.
template <class Between>
[[gnu::always_inline]] static inline void philox_rounds(uint64_t seed, PhiloxWords (&w)[kTurns],
                                                        Between between) {
  const Word mul0 = Word{} + core::Philox::kMul0, mul1 = Word{} + core::Philox::kMul1;
  uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
#pragma GCC unroll 10
  for (int round = 0; round < core::Philox::kRounds; ++round) {
    Word p0[kTurns], p1[kTurns];
#pragma GCC unroll 8
    for (int i = 0; i < kTurns; ++i) {
      p0[i] = Simd::multiply(w[i].c0, mul0);
      p1[i] = Simd::multiply(w[i].c2, mul1);
    }
#pragma GCC unroll 8
    for (int i = 0; i < kTurns; ++i) {
      w[i] = {(p1[i] >> 32) ^ w[i].c1 ^ (Word{} + key0), p1[i],
              (p0[i] >> 32) ^ w[i].c3 ^ (Word{} + key1), p0[i]};
    }
    between(round);
    key0 += core::Philox::kWeyl0;
    key1 += core::Philox::kWeyl1;
  }
}

// core::uniform_from_bits: the 32 leading bits and the 21 next ones become the mantissas of
// 2^20 + high 2^-32 and 2^-12 + low 2^-53; both sums are exact.
[[gnu::always_inline]] static inline Real philox_uniform(const PhiloxWords& w) {
  const Word high = (w.c1 & (Word{} + 0xffffffffu)) | (Word{} + 0x4130000000000000u);
  const Word low = (w.c0 & (Word{} + 0xfffff800u)) | (Word{} + 0x3f30000000000000u);
  return (reinterpret_cast<Real>(high) - (0x1p20 + 0x1p-12)) + reinterpret_cast<Real>(low);
}
