// Rows of a batch: reading them, sharing them out over threads, and choosing the kernel for their
// type.
#pragma once

#include <algorithm>
#include <limits>

#include "core/logit.h"
#include "cpu/isa.h"
#include "launch/adaptor_step.h"
#include "parallel.h"

namespace aligndec::cpu {

template <class T>
RowInput<T> row_input(const RowBatch& batch, int64_t row) {
  return {static_cast<const T*>(batch.logits) + row * batch.stride, batch.n,
          mask_of_row(batch, row),
          row + 1 < batch.rows ? static_cast<const T*>(batch.logits) + (row + 1) * batch.stride
                               : nullptr};
}

// The logit of a token as it came, -inf if it does not exist.
template <class T>
float existing_logit(const RowInput<T>& row, int64_t id) {
  const bool exists = id < row.n && row.mask.allows(id);
  return exists ? static_cast<float>(row.x[id]) : -std::numeric_limits<float>::infinity();
}

// The same with the bias that the row was edited by.
template <class T>
float edited_logit(const RowInput<T>& row, int64_t id) {
  if (row.edited && id < row.n && row.edited[id / kBlock])
    return row.edited[id / kBlock][id % kBlock];
  return existing_logit(row, id);
}

inline Workspace& thread_workspace() {
  static thread_local Workspace workspace;
  return workspace;
}

inline void run_team(int parts, void* context, void (*body)(void*, int)) {
  parallel_for(0, parts, 1, [&](int64_t first, int64_t last) {
    for (int64_t part = first; part < last; ++part) body(context, static_cast<int>(part));
  });
}

// Calls body(workspace, first, last) over the rows, on as many threads as the logits are worth; few
// long rows are worked on one by one by all threads.
template <class Body>
void for_rows(int64_t rows, int64_t n, const Body& body) {
  constexpr int64_t kLogitsPerThread = int64_t{1} << 17;  // forking costs 5 to 20 us
  const int64_t threads = std::min<int64_t>(get_num_threads(), kMaxParts);
  const int64_t parts = std::min(threads, n / kLogitsPerThread);
  if (rows > 0 && rows < threads && parts > rows) {
    Workspace& ws = thread_workspace();
    struct Alone {  // also when the body throws
      Workspace& ws;
      ~Alone() { ws.team = {}; }
    } alone{ws};
    ws.team = {static_cast<int>(parts), &run_team};
    body(ws, int64_t{0}, rows);
    return;
  }
  const int64_t grain = std::max<int64_t>(1, kLogitsPerThread / std::max<int64_t>(n, 1));
  parallel_for(0, rows, grain,
               [&](int64_t first, int64_t last) { body(thread_workspace(), first, last); });
}

// Calls body(kernel) with the row kernel for this type of logits.
template <class Body>
void for_type(LogitType type, const Body& body) {
  switch (type) {
    case LogitType::kFloat:
      return body(row_kernel<float>());
    case LogitType::kHalf:
      return body(row_kernel<c10::Half>());
    case LogitType::kBFloat16:
      return body(row_kernel<c10::BFloat16>());
  }
}

}  // namespace aligndec::cpu
