// Running sums of a string (semantics' sections 1.4 and 4).
#pragma once

#include <cstdint>

#include "core/books.h"
#include "core/hd.h"

namespace aligndec::core {

constexpr int kSums = 5;               // log_p, log_q, log_z, log_kept, kl
constexpr int kStateRows = kSums + 1;  // and the threshold of mirostat

ALIGNDEC_HD bool is_bad(int64_t status) {
  return status == kBadLogit || status == kNoToken || status == kUnknownSet;
}

// Adds one step to entry i of sums [kStateRows, batch]. A bad row keeps its sums and ends; a
// finished one stays as it is.
ALIGNDEC_HD void commit_step(double* sums, int64_t batch, int64_t i, int64_t* length,
                             bool* finished, const int64_t* eos, int64_t n_eos, int64_t status,
                             int64_t token, const double (&fields)[kSums]) {
  if (status == kFinished) return;
  if (is_bad(status)) {
    finished[i] = true;
    return;
  }
  for (int f = 0; f < kSums; ++f) sums[f * batch + i] += fields[f];
  length[i] += 1;
  for (int64_t e = 0; e < n_eos; ++e) finished[i] = finished[i] || eos[e] == token;
}

}  // namespace aligndec::core
