// The stages of a kept set: their order, and where each cuts.
#pragma once

#include "core/adaptor_rules.h"
#include "core/draw.h"

namespace aligndec::cuda {

// A stage keeps a prefix of an order, by mass or by count, or all from a threshold on.
enum Stage : int { kTopK, kTopP, kMinP, kTypical, kEpsilon, kEta, kSigma, kStages };

__device__ inline bool is_on(const core::Rule& rule, int stage, int64_t count) {
  switch (stage) {
    case kTopK:
      return rule.cuts_top_k(count);
    case kTopP:
      return rule.has_top_p();
    case kMinP:
      return rule.has_min_p();
    case kTypical:
      return rule.has_typical();
    case kEpsilon:
      return rule.has_epsilon();
    case kEta:
      return rule.has_eta();
    default:
      return rule.has_sigma();
  }
}
__device__ inline bool is_prefix(int stage) {
  return stage == kTopK || stage == kTopP || stage == kTypical;
}

// The first stage from `stage` on that is on.
__device__ inline int next_stage(const core::Rule& rule, int stage, int64_t count) {
  while (stage < kStages && !is_on(rule, stage, count)) ++stage;
  return stage;
}

// Where a threshold stage cuts what is left; `top`: the maximum of the row.
__device__ inline double threshold(int stage, const core::Rule& rule, const core::Survivors& left,
                                   float top, const core::GapMoments& gaps) {
  if (stage == kMinP) return core::min_p_cut(rule, left);
  if (stage == kEpsilon) return core::epsilon_cut(rule, left, top);
  if (stage == kEta) return core::eta_cut(rule, left, top);
  return core::sigma_cut(rule, left, gaps);
}

}  // namespace aligndec::cuda
