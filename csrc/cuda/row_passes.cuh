// The passes over a row that a Cutter makes.
#pragma once

#include "cuda/row_cut.cuh"

namespace aligndec::cuda {

// Weighs the row under one law; with the bins of the first cut, or the set that a known cut keeps.
template <bool kWithEntropy, Over kOver, Binned kBinned, class Gap>
__device__ __forceinline__ void Cutter::weigh_all(const Gap& gap, float low, cuda::Sums& total) {
  if (kBinned != Binned::kNothing) clear_bins(s_, core::kLowHalf);
  const Distance distance{top(), plan_.per_bin};
  const RowAndSet mine =
      weigh_slice<kWithEntropy, kOver, kBinned, false>(s_, row_, gap, low, FLT_MAX, distance);
  const auto meanwhile = [&] {
    if (kBinned != Binned::kNothing) sum_runs(s_);
  };
  if constexpr (kOver == Over::kBoth) {
    send_sum(s_.exchange, mine, s_.both, meanwhile,
             [&](int peer, const RowAndSet& part) { s_.mass_of_peer[peer] = part.set.mass; });
  } else {
    send_sum(s_.exchange, mine.row, total, meanwhile,
             [&](int peer, const cuda::Sums& part) { s_.mass_of_peer[peer] = part.mass; });
  }
  if (thread() == 0) {
    if (kOver == Over::kBoth) total = s_.both.row;
    total.count = count();
  }
  if (kBinned != Binned::kNothing) binned_ = kBinned;
}

// Makes the laws known, the one that decides last; its pass does what it can for the first stage.
__device__ __forceinline__ void Cutter::weigh_row() {
  const PlainGap plain{top()};
  const ScaledGap scaled(top(), rule_.scale);
  const float low =
      plan_.set_known ? core::float_at_least(core::min_p_cut(rule_, {0, 0, top(), 0})) : -FLT_MAX;
  const bool entropy = s_.known.share || plan_.first == core::kStages || rule_.needs_entropy();
  Binned wanted = Binned::kMasses;
  if (plan_.first == core::kStages || plan_.first == core::kTypical || plan_.set_known)
    wanted = Binned::kNothing;
  if (plan_.first == core::kTopK) wanted = Binned::kCounts;
  if (s_.known.has_bins(plan_.decides_base, rule_.scale)) binned_ = Binned::kMasses;
  for (int turn = 0; turn < 2; ++turn) {
    const bool decides = turn == 1, base = decides == plan_.decides_base;
    const bool bins = decides && wanted == Binned::kMasses;
    if (base && !s_.known.base) {
      if (wanted == Binned::kCounts) {
        weigh_all<true, Over::kRow, Binned::kCounts>(plain, low, s_.base);  // hot: tally_counts
      } else if (bins) {
        weigh_all<true, Over::kRow, Binned::kMasses>(plain, low, s_.base);  // hot: tally_masses
      } else if (decides && plan_.set_known) {
        weigh_all<true, Over::kBoth, Binned::kNothing>(plain, low, s_.base);  // hot: tally_cut
      } else {
        weigh_all<true, Over::kRow, Binned::kNothing>(plain, low, s_.base);  // hot: tally
      }
      if (thread() == 0) s_.known.base = true;
    }
    if (!base && plan_.two_laws && !s_.known.has_scaled(rule_.scale, entropy)) {
      if (bins && entropy) {
        weigh_all<true, Over::kRow, Binned::kMasses>(scaled, low, s_.scaled);
      } else if (bins) {
        weigh_all<false, Over::kRow, Binned::kMasses>(scaled, low,
                                                      s_.scaled);  // hot: scaled_masses
      } else if (decides && plan_.set_known) {
        weigh_all<true, Over::kBoth, Binned::kNothing>(scaled, low, s_.scaled);  // hot: scaled_cut
      } else {
        weigh_all<true, Over::kRow, Binned::kNothing>(scaled, low, s_.scaled);  // hot: scaled
      }
      if (thread() == 0) s_.known.know_scaled(rule_.scale, entropy || !bins);
    }
  }
  block::sync();  // some may still ask what is known
  if (thread() == 0) {
    s_.kept = plan_.set_known ? s_.both.set : plan_.decides_base ? s_.base : s_.scaled;
    s_.in_bins = s_.kept.mass;
    s_.known.keep_bins(binned_ == Binned::kMasses, plan_.decides_base);
  }
  block::sync();
  low_ = low;
  known_ = plan_.decides_base || s_.known.scaled_entropy ? kEntropy : kMass;
}

// Gives a rule of dynamic temperature that of the row.
__device__ __forceinline__ void Cutter::temper() {
  if (!s_.known.base)
    weigh_all<true, Over::kRow, Binned::kNothing>(PlainGap{top()}, -FLT_MAX, s_.base);
  block::sync();  // some may still ask for the old rule
  if (thread() == 0) {
    s_.known.base = true;
    core::Rule& rule = s_.rule();
    rule.set_temperature(core::row_temperature(rule, s_.base.mass, s_.base.entropy, count()));
  }
  block::sync();
}

// Weighs what is kept so far.
__device__ __forceinline__ void Cutter::weigh_set() {
  const RowAndSet mine = weigh_slice<true, Over::kSet, Binned::kNothing, false>(
      s_, row_, ScaledGap(plan_.law), low_, high_, {});  // hot: set
  send_sum(
      s_.exchange, mine.set, s_.kept, [] {},
      [&](int peer, const cuda::Sums& part) { s_.mass_of_peer[peer] = part.mass; });
  known_ = kEntropy;
}

// Bins what is kept so far.
__device__ __forceinline__ void Cutter::bin_set(Binned what, const Distance& distance,
                                                bool around) {
  constexpr auto kSet = Over::kSet;
  block::sync_peers();  // a peer may still look for a bin
  clear_bins(s_, core::kLowHalf);
  const PlainGap plain{top()};
  const ScaledGap scaled(plan_.law);
  if (what == Binned::kCounts) {
    weigh_slice<false, kSet, Binned::kCounts, false>(s_, row_, plain, low_, high_, distance);
  } else if (!around) {
    weigh_slice<false, kSet, Binned::kMasses, false>(s_, row_, scaled, low_, high_, distance);
  } else if (plan_.law.scale.identity) {
    weigh_slice<false, kSet, Binned::kMasses, true>(s_, row_, plain, low_, high_,
                                                    distance);  // hot: around
  } else {
    weigh_slice<false, kSet, Binned::kMasses, true>(s_, row_, scaled, low_, high_,
                                                    distance);  // hot: scaled_around
  }
  if (thread() == 0) {
    s_.in_bins = s_.kept.mass;
    s_.known.bins = false;
  }
  block::sync();
  sum_runs(s_);
  block::sync_peers();
  binned_ = around ? Binned::kNothing : what;
}

}  // namespace aligndec::cuda
