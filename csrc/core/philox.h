// Counter-based random bits: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers:
// as easy as 1, 2, 3", SC 2011). A draw is a pure function of (seed, sequence, position, stream),
// so it depends neither on the batch nor on the device. Integers only.
#pragma once

#include "core/hd.h"

namespace aligndec::core {

// What a number is used for; the fourth counter word.
enum class Stream : uint32_t {
  kToken = 0,
  kChain = 1,
  kRescore = 3,
  kRejection = 4,
  kRollout = 5,
  kCandidate = 6,
  kSir = 7,
  kResampling = 8,
  kXtc = 11,
};

struct Words4 {
  uint32_t w[4];
};

// r decides; r2 are the further 64 bits of the same block.
struct RandomBits {
  uint64_t r, r2;
};

struct Philox {
  static constexpr int kRounds = 10;
  static constexpr uint32_t kMul0 = 0xD2511F53u, kMul1 = 0xCD9E8D57u;
  static constexpr uint32_t kWeyl0 = 0x9E3779B9u, kWeyl1 = 0xBB67AE85u;
};

// Ten rounds; the key takes a Weyl step between rounds.
ALIGNDEC_HD Words4 philox4x32_10(Words4 counter, uint32_t key0, uint32_t key1) {
  constexpr uint64_t kMul0 = Philox::kMul0, kMul1 = Philox::kMul1;
  uint32_t c0 = counter.w[0], c1 = counter.w[1], c2 = counter.w[2], c3 = counter.w[3];
  ALIGNDEC_UNROLL
  for (int round = 0; round < Philox::kRounds; ++round) {
    const uint64_t p0 = kMul0 * c0, p1 = kMul1 * c2;
    c0 = static_cast<uint32_t>(p1 >> 32) ^ c1 ^ key0;
    c1 = static_cast<uint32_t>(p1);
    c2 = static_cast<uint32_t>(p0 >> 32) ^ c3 ^ key1;
    c3 = static_cast<uint32_t>(p0);
    key0 += Philox::kWeyl0;
    key1 += Philox::kWeyl1;
  }
  return {{c0, c1, c2, c3}};
}

// The 128 random bits of one use. Counter words (low, high of sequence, position mod 2^32, stream).
ALIGNDEC_HD RandomBits token_bits(uint64_t seed, uint64_t sequence, uint64_t position,
                                  Stream stream) {
  const Words4 counter = {{static_cast<uint32_t>(sequence), static_cast<uint32_t>(sequence >> 32),
                           static_cast<uint32_t>(position), static_cast<uint32_t>(stream)}};
  const Words4 o =
      philox4x32_10(counter, static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
  return {o.w[0] | static_cast<uint64_t>(o.w[1]) << 32, o.w[2] | static_cast<uint64_t>(o.w[3])
                                                                     << 32};
}

// The 53 leading bits as a float64 in [0, 1).
ALIGNDEC_HD double uniform_from_bits(uint64_t r) { return static_cast<double>(r >> 11) * 0x1p-53; }

}  // namespace aligndec::core
