// What the stages of a Cutter keep.
#pragma once

#include "cuda/row_cut.cuh"

namespace aligndec::cuda {

// What the rule asks for.
__device__ inline CutPlan Cutter::plan() const {
  CutPlan p;
  p.two_laws = !rule_.greedy() && !rule_.scale.identity;
  p.first = rule_.greedy() ? core::kStages : next_stage(rule_, 0, count());
  p.decides_base = p.first < core::kStages ? rule_.cuts_on_base() : !p.two_laws;
  p.law = {top(), p.decides_base ? core::Scale{true, 1.0f, 0.0f} : rule_.scale};
  p.set_known = p.first == core::kMinP && !s_.known.share;
  float reach = kReach * static_cast<float>(p.decides_base ? 1.0 : rule_.tau);
  if (s_.seen.least > -INFINITY) reach = fminf(reach, top() - s_.seen.least);
  p.per_bin = bins_per_unit(reach);
  return p;
}

// What a stage keeps of what is left.
__device__ __forceinline__ void Cutter::narrow(core::Stage stage) {
  if (stage == core::kTopH || stage == core::kXtc) return narrow_alone(stage);
  if (stage == core::kSigma) sum_gaps();
  const double powers = stage == core::kPLess
                            ? log_powers(s_, row_, plan_.law, low_, most_kept(), rule_.p_less)
                            : 0.0;
  const core::Survivors left{s_.kept.mass, s_.kept.entropy, most_kept(), s_.kept.count};
  Cut cut{{false, 0.0}, plan_.law, low_, high_, stage == core::kTopK, 0, 0};
  if (core::is_prefix(stage)) {
    if (stage == core::kTypical) cut.order = {true, core::typical_centre(rule_, left, top())};
    cut.limit = core::prefix_limit(rule_, stage, left);
  } else {
    const float low = core::float_at_least(threshold(stage, rule_, left, top(), s_.gaps, powers));
    if (low <= low_) return;
    cut.last = core::descending_key(low);
  }
  if (in_bins(cut)) return;
  if (cut.limit == 0) {
    low_ = core::from_descending_key(static_cast<uint32_t>(cut.last));
  } else {
    cut_by_keys(s_, row_, cut);
    binned_ = Binned::kNothing;
    if (thread() == 0) s_.known.bins = false;
    low_ = s_.logits.least;
    high_ = s_.logits.most;
  }
  known_ = kNothing;
}

// The stages that no bins serve.
__device__ __forceinline__ void Cutter::narrow_alone(core::Stage stage) {
  const float most = most_kept();
  if (stage == core::kTopH) {
    low_ = entropy_end(s_, row_, plan_.law, low_, most, rule_.top_h);
  } else {
    const core::Survivors left{s_.kept.mass, s_.kept.entropy, most, s_.kept.count};
    const float least = core::float_at_least(core::xtc_cut(rule_, left, top()));
    high_ = least_choice(s_, row_, low_, most, least);
  }
  known_ = kNothing;
}

// Cuts by way of the bins; false if that does not serve or is not exact.
__device__ __forceinline__ bool Cutter::in_bins(const Cut& cut) {
  const Distance distance{cut.order.closest ? static_cast<float>(cut.order.centre) : top(),
                          plan_.per_bin};
  const Binned wanted = cut.by_count ? Binned::kCounts : Binned::kMasses;
  int bin = 0;
  if (!cut.order.closest && high_ < top()) return false;
  if (cut.limit == 0) {
    const float at = distance.below(core::from_descending_key(static_cast<uint32_t>(cut.last)));
    if (binned_ != wanted || at >= kBeyond) return false;
    bin = index_of(at);
  } else if (cut.order.closest || binned_ != wanted) {
    bin_set(wanted, distance, cut.order.closest);
  }
  uint64_t total;
  const BinAt at = find_bin(s_, cut.limit, bin, total);
  if (at.bin == kBins || (!cut.by_count && s_.in_bins - total >= kLostCarry)) return false;
  cut_in_bin(s_, row_, cut, distance, at);
  const Verdict& verdict = s_.verdict;
  if (!verdict.found) return false;
  low_ = verdict.low;
  high_ = verdict.high;
  known_ = cut.by_count ? kNothing : kMass;
  if (thread() == 0) s_.kept = verdict.sums;
  if (thread() < block::peers()) s_.mass_of_peer[thread()] = verdict.mass_of_peer[thread()];
  block::sync();
  return true;
}

// The spread of the logits.
__device__ __forceinline__ void Cutter::sum_gaps() {
  if (s_.known.gaps) return;
  core::GapSums mine;
  const float top = this->top();
  row_.for_logits(
      [&](const auto& x) {  // hot: gaps
        for (const float each : x) {
          const float gap = each - top;
          if (gap >= -core::kSigmaRange) mine.add(gap);
        }
      },
      [](int) {});
  send_sum(s_.exchange, mine.moments(), s_.gaps, [] {}, [](int, const core::GapMoments&) {});
  if (thread() == 0) s_.known.gaps = true;
}

}  // namespace aligndec::cuda
