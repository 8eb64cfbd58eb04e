// The kept set of one row and its masses.
#pragma once

#include "core/draw.h"
#include "cuda/row_passes.cuh"
#include "cuda/row_prefix.cuh"

namespace aligndec::cuda {

// Beyond this distance below the maximum, in units of tau, next to no mass is left.
constexpr float kReach = 32.0f;

// Lowest id with this logit, for every thread.
template <class T>
__device__ int64_t lowest_id(Storage& s, const Row<T>& row, float logit) {
  LowestId mine;
  row.for_ids([&](int i) {
    if (row.at(i) == logit) mine.add({row.first + i});
  });
  sum(s.exchange, mine, s.lowest);
  return s.lowest.id;
}

__device__ inline core::Survivors survivors(const Storage& s) {
  return {s.kept.mass, s.kept.entropy, s.kept.high, s.kept.count};
}

// The law that is drawn from, once the row has been cut.
__device__ inline Law drawn_law(Storage& s) { return {s.masses.kept_top, s.rule().scale}; }

// `own_top`: the kept set has been weighed relative to its own maximum.
__device__ inline void write_masses(Storage& s, const CutPlan& plan, bool own_top) {
  core::RowMasses r;
  r.top = s.seen.top;
  r.base = s.base.mass;
  r.base_e = s.base.entropy;
  r.kept_top = own_top ? s.kept.high : r.top;
  if (plan.greedy) {
    r.scaled = r.kept = r.kept_units = core::kMassOne;
    r.n_kept = 1;
    r.low = r.high = r.top;
    r.greedy_token = s.lowest.id;
  } else {
    r.scaled = plan.two_laws ? s.scaled.mass : s.base.mass;
    r.kept = s.kept.mass;
    r.kept_e = s.kept.entropy;
    r.kept_units = own_top ? 0 : r.kept;
    r.n_kept = s.kept.count;
    r.low = s.kept.low;
    r.high = s.kept.high;
  }
  s.masses = r;
}

// Gives a rule of dynamic temperature that of the row.
template <class T>
__device__ void temper(Storage& s, const Row<T>& row) {
  const Law base{s.seen.top, core::Scale{true, 1.0f, 0.0f}};
  tally(s, row, base, s.seen.least, s.seen.top, Order{false, s.seen.top, 0.0}, ~uint64_t{0});
  core::Rule& rule = s.rule();
  if (thread() == 0)
    rule.set_temperature(core::row_temperature(rule, s.kept.mass, s.kept.entropy, s.seen.count));
  block::sync();
}

// Leaves the masses of the row under s.rule() in s.masses, and the kept mass of each warp behind.
// The row exists and has no bad logit. One loop for all passes, so that their code stands in the
// kernel once.
template <class T>
__device__ __forceinline__ void cut_row(Storage& s, const Row<T>& row) {
  const core::Rule& rule = s.rule();
  if (rule.dynamic()) temper(s, row);
  const CutPlan plan(rule, s.seen.count);
  bool own_top = false;
  for (int pass = 0; pass < kPasses; ++pass) {
    if (!plan.needs(pass, s)) continue;
    own_top = pass == kOwnTop;
    const core::Stage stage = stage_of(pass);
    const bool base = plan.weighs_base(pass), all = pass <= kDecidingLaw;
    const Law law{own_top ? s.kept.high : s.seen.top,
                  base ? core::Scale{true, 1.0f, 0.0f} : rule.scale};
    float low = all ? s.seen.least : s.kept.low;
    float high = all ? s.seen.top : s.kept.high;
    Order order{stage == core::kTypical, high, 0.0};
    uint64_t last = ~uint64_t{0};
    if (stage == core::kTypical)
      order.centre = core::typical_centre(rule, survivors(s), s.seen.top);
    if (stage == core::kTopK || stage == core::kTopP || stage == core::kTypical) {
      const double share = stage == core::kTopP ? rule.top_p : rule.typical_p;
      const bool by_count = stage == core::kTopK;
      const uint64_t limit =
          by_count ? static_cast<uint64_t>(rule.top_k) : core::ceil_scaled(share, s.kept.mass);
      const float reach = kReach * static_cast<float>(rule.cut_tau());
      last = prefix_end(s, row, law, low, high, order, reach, by_count, limit);
    } else if (stage == core::kTopH) {
      low = entropy_end(s, row, law, low, high, rule.top_h);
    } else if (stage == core::kXtc) {
      const double least = core::xtc_cut(rule, survivors(s), s.seen.top);
      high = least_choice(s, row, low, high, core::float_at_least(least));
    } else if (stage != core::kStages) {
      low = fmaxf(low, core::float_at_least(threshold(s, row, survivors(s), stage, law)));
    }
    tally(s, row, law, low, high, order, last);
    if (thread() == 0 && all) (base ? s.base : s.scaled) = s.kept;
  }
  if (plan.greedy) lowest_id(s, row, s.seen.top);
  if (thread() == 0) write_masses(s, plan, own_top);
  block::sync();
}

}  // namespace aligndec::cuda
