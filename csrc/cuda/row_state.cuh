// What a group knows of its row: sums over it, and the histogram and the candidates of a search.
// It is the same for all threads and lies in the storage of each block, so that it costs no
// registers.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/adaptor_rules.h"
#include "core/books.h"
#include "core/logit.h"
#include "core/split_mass.h"
#include "cuda/row_sums.cuh"

namespace aligndec::cuda {

// The weights of a law: relative to `top`, at one temperature.
struct Law {
  float top;
  core::Scale scale;

  __device__ float gap(float x) const { return core::scaled_gap(x - top, scale); }
  __device__ uint64_t mass(float x) const {
    return core::mass_halves(core::scaled_weight(gap(x))).mass();
  }
  __device__ core::Weight weight(float x) const {
    const float t = gap(x), scaled = core::scaled_weight(t);
    return {core::mass_halves(scaled).mass(), core::entropy_halves(scaled, t).mass()};
  }
};

// What a rule asks for.
struct CutPlan {
  core::Stage first;  // that cuts, or kStages
  bool two_laws;      // another one than the base law
  bool decides_base;  // which of them decides
  bool set_known;     // what the first stage keeps, before any pass
  float per_bin;      // see Distance
  Law law;            // of the sums of what is kept
};

// What is known of a row already when its next rule comes: the base law, the scaled one at one
// temperature, the bins of all tokens under the law that decided.
struct Known {
  bool share = false;          // there are more rules than one
  bool wants_entropy = false;  // of what is kept, at temperature 1 too
  bool base = false, scaled = false, scaled_entropy = false, gaps = false;
  bool bins = false, bins_of_base = false;
  core::Scale scale{};  // of the scaled law

  __device__ bool has_scaled(const core::Scale& at, bool entropy) const {
    return scaled && at.high == scale.high && at.low == scale.low && (scaled_entropy || !entropy);
  }
  __device__ bool has_bins(bool of_base, const core::Scale& at) const {
    return bins && (of_base ? bins_of_base : !bins_of_base && has_scaled(at, false));
  }
  __device__ void know_scaled(const core::Scale& at, bool with_entropy) {
    scaled = true;
    scaled_entropy = with_entropy;
    scale = at;
  }
  __device__ void keep_bins(bool are_of_all, bool of_base) {
    bins = are_of_all;
    bins_of_base = of_base;
  }
};

// The rule of a row that a group is at; with those between it and `step` others deal.
struct Turn {
  int entry, rule, step;
};

// Storage of a block; its slice of the row may follow.
struct Storage {
  Exchange exchange;
  Turn turn;
  uint64_t random;  // bits of the draw
  Scan seen;
  Mass existing;      // number of tokens
  Sums base, scaled;  // all tokens, at temperature 1 and at that of the rule
  Known known;
  Sums kept;  // the tokens that the stages so far keep
  RowAndSet both;
  core::GapMoments gaps;
  Wide wide;
  Choices choices;  // of xtc
  double powers, power[kThreads];
  KeyRange range;
  LogitRange logits;
  LowestId lowest;
  core::RowMasses masses;
  alignas(8) unsigned char rule_bytes[sizeof(core::Rule)];
  uint64_t mass_of_peer[kMostPeers];  // of the tokens that were weighed last, block by block
  uint64_t mass_of_warp[kWarps];      // of the draw, in the order of ids
  uint64_t mass_of_block;
  uint64_t in_bins;  // the mass of all that the bins have been given
  CutPlan plan;
  BinAt found;
  BeforeBin before_bin;
  Verdict verdict;
  int token;
  int64_t last;  // id
  Mass above;
  uint32_t list_size;
  int high_bit;
  float list[kList], candidates[kList];                // the block's, and the group's
  uint32_t fine_low[kThreads], fine_high[kThreads];    // bins for the candidates
  uint64_t mass_of_run[kThreads];                      // of consecutive bins
  alignas(16) uint32_t bin_low[kBins + block::kWarp];  // the last ones: see kBeyond
  uint32_t bin_high[kBins + block::kWarp];

  __device__ core::Rule& rule() { return *reinterpret_cast<core::Rule*>(rule_bytes); }

  // Makes what `rule_of` returns the rule. None may still read the last one; all see the new one
  // behind the next barrier, which the cutter brings.
  template <class RuleOf>
  __device__ void set_rule(RuleOf rule_of) {
    if (block::thread() == 0) rule() = rule_of();
  }
};

__device__ inline int thread() { return block::thread(); }
__device__ inline bool is_leader() { return block::thread() == 0 && block::rank() == 0; }

// The block's storage, ready for use.
__device__ inline Storage& open_storage() {
  auto& s = *reinterpret_cast<Storage*>(block::storage());
  if (block::thread() == 0) {
    s.exchange.phase = 0;
    s.known = {};
  }
  return s;
}

}  // namespace aligndec::cuda
