// Independence Metropolis-Hastings (Hastings 1970; Tierney 1994): proposals are independent of the
// state, so a chain is decided by the log-weights ln w = ln target - ln proposal law alone.
#pragma once

#include "core/exp64.h"
#include "core/hd.h"
#include "core/log.h"

namespace aligndec::core {

// The proposal whose copy is emitted, its log-weight, and how many were accepted so far.
struct ChainState {
  double log_weight;
  int64_t index, accepted;
};

// ln u for u in [0, 1): -inf at 0, which accepts every finite proposal. The bits of log_positive,
// with masks instead of its branches, so that loops vectorise.
ALIGNDEC_HD double log_uniform(double u) {
  using K = Log64;
  u += 0.0;  // -0 is 0
  const int64_t bits = bit_cast<int64_t>(u), scaled = bit_cast<int64_t>(u * 0x1p54);
  const int64_t tiny = (bits - K::kSmallestNormal) >> 63, zero = (bits - 1) >> 63;
  const int64_t x = (scaled & tiny) | (bits & ~tiny) | (bit_cast<int64_t>(1.0) & zero);
  const double exponent = bit_cast<double>(bit_cast<int64_t>(-54.0) & tiny);
  const int64_t log_x = bit_cast<int64_t>(log_split(x, exponent, 0.0));
  return bit_cast<double>((log_x & ~zero) |
                          (bit_cast<int64_t>(-bit_cast<double>(K::kInfinity)) & zero));
}

// Accept iff ln u < ln w_proposal - ln w_state, in float64 as written. Log-weights are finite or
// -inf and u < 1, so the comparison keeps the -inf contract by itself: from a state of weight 0 the
// difference is +inf and any finite proposal is accepted; a proposal of weight 0 gives -inf or,
// from a state of weight 0, NaN, and neither is above ln u.
ALIGNDEC_HD bool accepts(double log_u, double proposal, double state) {
  return log_u < proposal - state;
}

// The pool entry that 64 random bits choose, uniform on [0, n).
ALIGNDEC_HD int64_t pool_index(uint64_t r2, int64_t n) {
  return static_cast<int64_t>(mul_hi_u64(r2, static_cast<uint64_t>(n)));
}

// `accepts` without a logarithm, for proposals from one pool. With W = exp(ln w - max ln w), taken
// as 0 below e^-700, and a = u W_state in float64:
//   a kOver < W_proposal              accepted for certain,
//   a > kOver W_proposal + kTiny      rejected for certain,
// and `accepts` has to decide the rest, which comes up once in 10^12 steps and while the state's W
// is 0. Errors to cover: ln w - max and the difference in `accepts`, below 700 each and so rounded
// by at most 2^-44; two exponentials, three products and ln u, a few units of 2^-53 of numbers
// below 37: together less than 2^-42 of a logarithm. kOver allows 2^-40.
struct QuickAccept {
  static constexpr double kLowest = -700.0;  // e^-700 = 9.9e-305 is a normal number
  static constexpr double kOver = 1.0 + 0x1p-40;
  static constexpr double kTiny = 1e-304;  // above e^-700 and what kOver adds to it

  // W of one entry; `top` is the finite maximum of its pool.
  ALIGNDEC_HD static double weight(double log_weight, double top) {
    const double x = log_weight - top;
    return x < kLowest ? 0.0 : exp64(x);
  }
};

// Decides step n of a chain: whether the proposal becomes the state. Entry 0 is the start and
// counts as accepted. Masks, because a branch on a coin is mispredicted half of the time.
ALIGNDEC_HD bool step_chain(ChainState& s, int64_t n, double proposal, double log_u) {
  const bool take = n == 0 || accepts(log_u, proposal, s.log_weight);
  const int64_t mask = -static_cast<int64_t>(take);
  s.log_weight = bit_cast<double>((bit_cast<int64_t>(proposal) & mask) |
                                  (bit_cast<int64_t>(s.log_weight) & ~mask));
  s.index = (n & mask) | (s.index & ~mask);
  s.accepted += take;
  return take;
}

// Steps [first, last) of kLanes chains side by side, because each waits for its own last decision.
// Emits the state after each step: a rejected proposal repeats it. log_weight, index and accepted
// start at step 0 and go from chain to chain by `stride`; log_u starts at step `first` and goes by
// `u_stride`.
template <int kLanes>
ALIGNDEC_HD void run_chains(ChainState (&states)[kLanes], int64_t first, int64_t last,
                            const double* log_weight, int64_t stride, const double* log_u,
                            int64_t u_stride, int64_t* index, bool* accepted) {
  ChainState s[kLanes];
  for (int lane = 0; lane < kLanes; ++lane) s[lane] = states[lane];
  for (int64_t n = first; n < last; ++n) {
    ALIGNDEC_UNROLL
    for (int lane = 0; lane < kLanes; ++lane) {
      const int64_t at = lane * stride + n;
      accepted[at] = step_chain(s[lane], n, log_weight[at], log_u[lane * u_stride + n - first]);
      index[at] = s[lane].index;
    }
  }
  for (int lane = 0; lane < kLanes; ++lane) states[lane] = s[lane];
}

}  // namespace aligndec::core
