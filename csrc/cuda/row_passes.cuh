// The passes over a row that lead to its kept set: each weighs what an interval of logits keeps
// under one law.
#pragma once

#include "cuda/row_wide.cuh"

namespace aligndec::cuda {

// The passes in their order. All tokens under both laws, the one that decides last; the stages; the
// kept set under the law that is drawn from, where that is another one, and relative to its own
// maximum, where it weighs less than a unit.
enum Pass : int {
  kFirstLaw,
  kDecidingLaw,
  kFirstStage,
  kDrawnLaw = kFirstStage + core::kStages,
  kOwnTop,
  kPasses
};

// The stage of a pass; kStages where it has none.
__device__ inline core::Stage stage_of(int pass) {
  const bool is_stage = pass >= kFirstStage && pass < kDrawnLaw;
  return is_stage ? static_cast<core::Stage>(pass - kFirstStage) : core::kStages;
}

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
      case kDrawnLaw:
        return two_laws && base_decides;
      case kOwnTop:
        return two_laws && base_decides && s.kept.mass == 0;
      default:
        return cuts && rule.cuts(stage_of(pass), s.kept.count);
    }
  }
  __device__ bool weighs_base(int pass) const {
    return pass == kFirstLaw ? !base_decides : pass < kDrawnLaw && base_decides;
  }
};

// Where a threshold stage cuts.
template <class T>
__device__ double threshold(Storage& s, const Row<T>& row, const core::Survivors& survivors,
                            core::Stage stage, const Law& law) {
  const core::Rule& rule = s.rule();
  if (stage == core::kPLess) {
    const double powers = log_powers(s, row, law, s.kept.low, s.kept.high, rule.p_less);
    return core::p_less_cut(rule, survivors, s.seen.top, powers);
  }
  if (core::is_closed(stage)) return core::closed_cut(rule, stage, survivors, s.seen.top);
  core::GapMoments mine;
  row.for_logits(s.seen.least, s.seen.top, [&](float x) {
    const float gap = x - s.seen.top;
    if (gap >= -core::kSigmaRange) mine.add(core::gap_of(gap));
  });
  sum(s.exchange, mine, s.gaps);
  return core::sigma_cut(rule, survivors, s.gaps);
}

}  // namespace aligndec::cuda
