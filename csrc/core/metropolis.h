// Independence Metropolis-Hastings (Hastings 1970; Tierney 1994): proposals are independent of the
// state, so a chain is decided by the log-weights ln w = ln target - ln proposal law alone.
#pragma once

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

// Steps [first, last) of kLanes chains side by side, because each waits for its own last decision.
// Entry 0 is the start and counts as accepted. Emits the state after each step: a rejected proposal
// repeats it. log_weight, index and accepted start at step 0 and go from chain to chain by
// `stride`; log_u starts at step `first` and goes by `u_stride`.
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
      const double proposal = log_weight[at], log_u_n = log_u[lane * u_stride + n - first];
      const bool take = n == 0 || accepts(log_u_n, proposal, s[lane].log_weight);
      // Masks, because a branch on a coin is mispredicted half of the time.
      const int64_t mask = -static_cast<int64_t>(take);
      s[lane].log_weight = bit_cast<double>((bit_cast<int64_t>(proposal) & mask) |
                                            (bit_cast<int64_t>(s[lane].log_weight) & ~mask));
      s[lane].index = (n & mask) | (s[lane].index & ~mask);
      s[lane].accepted += take;
      index[at] = s[lane].index;
      accepted[at] = take;
    }
  }
  for (int lane = 0; lane < kLanes; ++lane) states[lane] = s[lane];
}

}  // namespace aligndec::core
