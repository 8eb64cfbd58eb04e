// Values from N rollouts of one candidate (Chakraborty et al. 2024, "Transfer Q*"): the mean of
// their rewards, the self-normalised mean under weights e^l, or ln of the mean weight. Weights are
// taken relative to the largest, so no finite l overflows; l = -inf is a weight of 0, and at least
// one is finite. Sums in index order.
#pragma once

#include "core/exp64.h"
#include "core/hd.h"
#include "core/log.h"

namespace aligndec::core {

enum class ValueMode : int { kMean, kSelfNormalised, kLogMeanExp };

struct SegmentValue {
  double value, ess, log_c;  // ess = (sum w)^2 / sum w^2; log_c = ln(sum w / N)
};

// log_ratio null: all weights 1.
ALIGNDEC_HD SegmentValue segment_value(const double* rewards, const double* log_ratio, int64_t n,
                                       ValueMode mode) {
  const double count = static_cast<double>(n);
  double plain = 0.0;
  for (int64_t i = 0; i < n; ++i) plain += rewards[i];
  if (!log_ratio) return {plain / count, count, 0.0};
  double top = log_ratio[0];
  for (int64_t i = 1; i < n; ++i) top = log_ratio[i] > top ? log_ratio[i] : top;
  double total = 0.0, squares = 0.0, weighted = 0.0;
  for (int64_t i = 0; i < n; ++i) {
    const double w = exp64(log_ratio[i] - top);
    total += w;
    squares += w * w;
    weighted += w * rewards[i];
  }
  const double log_c = top + (log_positive(total) - log_positive(count));
  if (mode == ValueMode::kMean) return {plain / count, count, log_c};
  const double value = mode == ValueMode::kSelfNormalised ? weighted / total : log_c;
  return {value, total * total / squares, log_c};
}

}  // namespace aligndec::core
