// The choice among k candidates with log-probabilities and values: the law p e^(v / alpha),
// renormalised over them (Chakraborty et al. 2024, "Transfer Q*"; Mudgal et al. 2024). A candidate
// with -inf in either has weight 0; at least one has none. Sums in index order; the draw is by
// integer masses, as for tokens.
#pragma once

#include <cmath>

#include "core/draw.h"
#include "core/exp64.h"
#include "core/fixed_point.h"
#include "core/hd.h"
#include "core/log.h"

namespace aligndec::core {

struct RescoreRow {
  const double *log_p, *value;
  int64_t k;
  double alpha;
};

struct RescoreChoice {
  int64_t index;
  double log_ref, log_alg, kl;
};

// ln p + (v - best v) / alpha: from the best value down, so that no alpha overflows.
ALIGNDEC_HD double rescored(const RescoreRow& row, int64_t i, double best) {
  const double v = row.value[i];
  return v > -INFINITY ? row.log_p[i] + (v - best) / row.alpha : -INFINITY;
}

ALIGNDEC_HD RescoreChoice rescore_row(const RescoreRow& row, bool greedy, uint64_t bits) {
  double best = -INFINITY, top = -INFINITY, top_ref = -INFINITY;
  for (int64_t i = 0; i < row.k; ++i)
    if (row.log_p[i] > -INFINITY && row.value[i] > best) best = row.value[i];
  RescoreChoice out{0, 0.0, 0.0, 0.0};
  for (int64_t i = 0; i < row.k; ++i) {
    const double score = rescored(row, i, best);
    if (score > top) {  // the first one on a tie
      top = score;
      out.index = i;
    }
    if (row.log_p[i] > top_ref) top_ref = row.log_p[i];
  }
  double total = 0.0, total_ref = 0.0;
  uint64_t mass = 0;
  for (int64_t i = 0; i < row.k; ++i) {
    const double w = exp64(rescored(row, i, best) - top);
    total += w;
    total_ref += exp64(row.log_p[i] - top_ref);
    mass += to_mass(w);
  }
  const double log_total = log_positive(total), log_ref = log_positive(total_ref);
  if (greedy) {
    out.log_ref = (row.log_p[out.index] - top_ref) - log_ref;
    out.kl = 0.0 - out.log_ref;
    return out;
  }
  const uint64_t target = draw_target(bits, mass);
  bool drawn = false;
  mass = 0;
  for (int64_t i = 0; i < row.k; ++i) {
    const double gap = rescored(row, i, best) - top, w = exp64(gap);
    if (!(w > 0.0)) continue;
    const double at_alg = gap - log_total, at_ref = (row.log_p[i] - top_ref) - log_ref;
    out.kl += w / total * (at_alg - at_ref);
    mass += to_mass(w);
    if (!drawn && mass > target) {
      drawn = true;
      out.index = i;
      out.log_ref = at_ref;
      out.log_alg = at_alg;
    }
  }
  if (!(out.kl > 0.0)) out.kl = 0.0;
  return out;
}

}  // namespace aligndec::core
