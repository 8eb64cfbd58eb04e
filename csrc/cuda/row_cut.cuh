// The kept set of one row and its masses, stage by stage.
#pragma once

#include "core/draw.h"
#include "cuda/row_prefix.cuh"
#include "cuda/row_stages.cuh"
#include "cuda/row_wide.cuh"

namespace aligndec::cuda {

// Beyond this distance below the maximum, in units of tau, 2^20 tokens weigh less than 2^-12.
constexpr float kReach = 22.25f;

// Cuts one row; all threads of the group together. It exists and has no bad logit.
class Cutter {
 public:
  __device__ Cutter(Storage& s, const Row& row) : s_(s), row_(row), rule_(s.rule()), plan_(s.plan) {
    if (thread() == 0) s.plan = plan();
    block::sync();
  }

  // Leaves the masses of the row under the rule in s.masses, and in s.mass_of_peer what each block
  // has of what is kept.
  __device__ __forceinline__ void run() {
    if (rule_.dynamic()) temper();
    if (thread() == 0) s_.plan = plan();
    block::sync();
    weigh_row();
    core::Stage stage = plan_.set_known ? next_stage(rule_, plan_.first + 1, count()) : plan_.first;
    while (true) {
      const bool done = stage == core::kStages;
      if (done && plan_.two_laws && plan_.decides_base && plan_.law.scale.identity)
        weigh_under({top(), rule_.scale});  // drawn from another law than decided
      if (known_ < needed(stage)) weigh_set();
      if (!done) {
        narrow(stage);
        stage = next_stage(rule_, stage + 1, count());
      } else if (known_ != kNothing && s_.kept.mass == 0) {
        weigh_under({most_kept(), rule_.scale});  // less than a unit: relative to its own maximum
      } else {
        break;
      }
    }
    finish();
  }

 private:
  // What is known of the kept tokens: nothing, their mass and number, their entropy too.
  enum Sums : int { kNothing, kMass, kEntropy };

  __device__ Sums needed(core::Stage stage) const {
    if (stage == core::kStages) return rule_.greedy() ? kNothing : plan_.two_laws || s_.known.wants_entropy ? kEntropy : kMass;
    if (stage == core::kTypical || stage == core::kEta) return kEntropy;
    const bool by_rank = stage == core::kTopK || stage == core::kMinP || stage == core::kSigma;
    return by_rank ? kNothing : kMass;
  }
  __device__ CutPlan plan() const {
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
  __device__ void weigh_under(const Law& law) {
    block::sync();
    if (thread() == 0) s_.plan.law = law;
    block::sync();
    known_ = kNothing;
  }
  __device__ int64_t count() const { return static_cast<int64_t>(s_.existing.value); }
  __device__ float top() const { return s_.seen.top; }
  __device__ float most_kept() const { return fminf(high_, top()); }

  // What a stage keeps of what is left.
  __device__ __forceinline__ void narrow(core::Stage stage) {
    if (stage == core::kTopH || stage == core::kXtc) return narrow_alone(stage);
    if (stage == core::kSigma) sum_gaps();
    const double powers = stage == core::kPLess ? log_powers(s_, row_, plan_.law, low_, most_kept(),
                                                             rule_.p_less)
                                                : 0.0;
    const core::Survivors left{s_.kept.mass, s_.kept.entropy, most_kept(), s_.kept.count};
    Cut cut{{false, 0.0}, plan_.law, low_, high_, stage == core::kTopK, 0, 0};
    if (is_prefix(stage)) {
      if (stage == core::kTypical) cut.order = {true, core::typical_centre(rule_, left, top())};
      cut.limit = stage == core::kTopK ? static_cast<uint64_t>(rule_.top_k)
                                 : core::ceil_scaled(stage == core::kTopP ? rule_.top_p : rule_.typical_p,
                                                     s_.kept.mass);
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
  __device__ __forceinline__ void narrow_alone(core::Stage stage) {
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
  __device__ __forceinline__ bool in_bins(const Cut& cut) {
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

  // The passes: row_passes.cuh.
  template <bool kWithEntropy, Over kOver, Binned kBinned, class Gap>
  __device__ void weigh_all(const Gap& gap, float low, cuda::Sums& total);
  __device__ void weigh_row();
  __device__ void temper();
  __device__ void weigh_set();
  __device__ void bin_set(Binned what, const Distance& distance, bool around);
  __device__ void sum_gaps();
  __device__ void finish();
  __device__ core::RowMasses masses() const;

  Storage& s_;
  const Row& row_;
  const core::Rule& rule_;
  const CutPlan& plan_;
  Binned binned_ = Binned::kNothing;  // what the bins hold of the tokens in [low, high]
  float low_ = -FLT_MAX, high_ = FLT_MAX;
  Sums known_ = kNothing;
};

}  // namespace aligndec::cuda
