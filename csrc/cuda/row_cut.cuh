// The kept set of one row and its masses, stage by stage.
#pragma once

#include "core/draw.h"
#include "cuda/row_search.cuh"
#include "cuda/row_settle.cuh"
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
    if (stage == core::kStages)
      return rule_.greedy()                             ? kNothing
             : plan_.two_laws || s_.known.wants_entropy ? kEntropy
                                                        : kMass;
    if (stage == core::kTypical || stage == core::kEta) return kEntropy;
    const bool by_rank = stage == core::kTopK || stage == core::kMinP || stage == core::kSigma;
    return by_rank ? kNothing : kMass;
  }
  __device__ CutPlan plan() const;
  __device__ void weigh_under(const Law& law) {
    block::sync();
    if (thread() == 0) s_.plan.law = law;
    block::sync();
    known_ = kNothing;
  }
  __device__ int64_t count() const { return static_cast<int64_t>(s_.existing.value); }
  __device__ float top() const { return s_.seen.top; }
  __device__ float most_kept() const { return fminf(high_, top()); }

  // What a stage keeps of what is left: row_narrow.cuh.
  __device__ void narrow(core::Stage stage);
  __device__ void narrow_alone(core::Stage stage);
  __device__ bool in_bins(const Cut& cut);

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
