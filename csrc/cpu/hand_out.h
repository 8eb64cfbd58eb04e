// Kept sets that are handed out as ids.
#pragma once

#include "cpu/row_types.h"
#include "launch/sparse_rows.h"

namespace aligndec::cpu {

// Lists the kept set of row i of `sets` where that is wanted, and lets the draw use the ids.
template <class T>
void hand_out(const SetRows& sets, int64_t i, const RowKernel<T>& kernel, const RowInput<T>& row,
              const Workspace& ws, RowCut& cut) {
  if (!sets.ids) return;
  const bool known = cut.status == core::kOk;
  const int64_t size = known ? cut.masses.n_kept : 0;
  sets.complete[i] = size <= sets.stride;
  sets.sizes[i] = sets.complete[i] ? size : 0;
  if (sets.sizes[i] == 0) return;
  int32_t* const ids = sets.ids + i * sets.stride;
  if (cut.masses.greedy_token >= 0) {
    ids[0] = static_cast<int32_t>(cut.masses.greedy_token);
    return;
  }
  kernel.list_ids(row, ws, cut.masses.low, cut.masses.high, ids);
  cut.list_ids = ids;
}

}  // namespace aligndec::cpu
