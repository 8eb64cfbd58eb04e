// The passes over a row that lead to its kept set: each weighs what an interval of logits keeps
// under one law.
#pragma once

#include "cuda/row.cuh"

namespace aligndec::cuda {

// The passes in their order. All tokens under both laws, the one that decides last; the stages; the
// kept set under the law that is drawn from, where that is another one, and relative to its own
// maximum, where it weighs less than a unit.
enum Pass : int {
  kFirstLaw,
  kDecidingLaw,
  kTopK,
  kTopP,
  kMinP,
  kTypical,
  kEpsilon,
  kEta,
  kSigma,
  kDrawnLaw,
  kOwnTop,
  kPasses
};

// What a row's rule asks for.
struct CutPlan {
  bool greedy, two_laws, cuts, base_decides;

  __device__ CutPlan(const core::Rule& rule, int64_t count)
      : greedy(rule.greedy()),
        two_laws(!greedy && !rule.scale.identity),
        cuts(!greedy && rule.truncates(count)),
        base_decides(cuts ? rule.cuts_on_base() : !two_laws) {}

  __device__ bool needs(int pass, Storage& s) const {
    const core::Rule& rule = s.rule();
    switch (pass) {
      case kFirstLaw:
        return two_laws;
      case kDecidingLaw:
        return true;
      case kTopK:
        return cuts && rule.cuts_top_k(s.kept.count);
      case kTopP:
        return cuts && rule.has_top_p();
      case kMinP:
        return cuts && rule.has_min_p();
      case kTypical:
        return cuts && rule.has_typical();
      case kEpsilon:
        return cuts && rule.has_epsilon();
      case kEta:
        return cuts && rule.has_eta();
      case kSigma:
        return cuts && rule.has_sigma();
      case kDrawnLaw:
        return two_laws && base_decides;
      default:
        return two_laws && base_decides && s.kept.mass == 0;
    }
  }
  __device__ bool weighs_base(int pass) const {
    return pass == kFirstLaw ? !base_decides : pass < kDrawnLaw && base_decides;
  }
};

// Where the threshold stage of this pass cuts.
template <class T>
__device__ double threshold(Storage& s, const Row<T>& row, const core::Survivors& survivors,
                            int pass) {
  const core::Rule& rule = s.rule();
  if (pass == kMinP) return core::min_p_cut(rule, survivors);
  if (pass == kEpsilon) return core::epsilon_cut(rule, survivors, s.seen.top);
  if (pass == kEta) return core::eta_cut(rule, survivors, s.seen.top);
  core::GapMoments mine;
  row.for_logits(s.seen.least, s.seen.top, [&](float x) {
    const float gap = x - s.seen.top;
    if (gap >= -core::kSigmaRange) mine.add(core::gap_of(gap));
  });
  sum(s.exchange, mine, s.gaps);
  return core::sigma_cut(rule, survivors, s.gaps);
}

}  // namespace aligndec::cuda
