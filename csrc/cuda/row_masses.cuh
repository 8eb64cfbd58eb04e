// The masses of a row whose kept set is known.
#pragma once

#include "cuda/row_narrow.cuh"
#include "cuda/row_passes.cuh"

namespace aligndec::cuda {

__device__ __forceinline__ void Cutter::finish() {
  if (rule_.greedy()) {
    LowestId mine;
    row_.for_ids([&](int i) {
      if (row_.at(i) == top()) mine.add({row_.first + i});
    });
    send_sum(s_.exchange, mine, s_.lowest, [] {}, [](int, const LowestId&) {});
  }
  if (thread() == 0) s_.masses = masses();
  block::sync();
}

__device__ inline core::RowMasses Cutter::masses() const {
  core::RowMasses r;
  r.top = top();
  r.base = s_.base.mass;
  r.base_e = s_.base.entropy;
  if (rule_.greedy()) {
    r.kept_top = top();
    r.scaled = r.kept = r.kept_units = core::kMassOne;
    r.n_kept = 1;
    r.low = r.high = top();
    r.greedy_token = s_.lowest.id;
    return r;
  }
  r.kept_top = plan_.law.top;
  r.scaled = plan_.two_laws ? s_.scaled.mass : r.base;
  r.kept = s_.kept.mass;
  r.kept_e = s_.kept.entropy;
  r.kept_units = plan_.law.top == top() ? r.kept : 0;
  r.n_kept = s_.kept.count;
  r.low = low_;
  r.high = high_;
  return r;
}

// Leaves the masses of the row under s.rule() in s.masses, and in s.mass_of_peer what each block
// has of what is kept. The row exists and has no bad logit.
__device__ __forceinline__ void cut_row(Storage& s, const Row& row) { Cutter(s, row).run(); }

}  // namespace aligndec::cuda
