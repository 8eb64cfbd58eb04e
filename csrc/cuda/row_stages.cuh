// The stages of a kept set: which prefix or threshold each keeps.
#pragma once

#include "core/adaptor_rules.h"
#include "core/draw.h"

namespace aligndec::cuda {

// The first stage from `stage` on that cuts a row of `count` tokens.
__device__ inline core::Stage next_stage(const core::Rule& rule, int stage, int64_t count) {
  while (stage < core::kStages && !rule.cuts(static_cast<core::Stage>(stage), count)) ++stage;
  return static_cast<core::Stage>(stage);
}

// Where a threshold stage cuts what is left; `top`: the maximum of the row; `gaps` and
// `powers`: what sigma and p_less ask of it.
__device__ inline double threshold(core::Stage stage, const core::Rule& rule,
                                   const core::Survivors& left, float top,
                                   const core::GapMoments& gaps, double powers) {
  if (stage == core::kPLess) return core::p_less_cut(rule, left, top, powers);
  return core::is_closed(stage) ? core::closed_cut(rule, stage, left, top)
                                : core::sigma_cut(rule, left, gaps);
}

}  // namespace aligndec::cuda
