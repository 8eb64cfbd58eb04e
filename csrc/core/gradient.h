// Gradient of a scored token with the kept set held fixed. With 1 the indicator of the token:
//   d log_p = 1 - p,   d log_q = (1 - q) / tau,   d log_z = (q - p) / tau.
// A greedy row is tau = 1 with q the indicator of the arg-max.
#pragma once

#include <cstdint>

#include "core/adaptor_rules.h"
#include "core/books.h"
#include "core/exp.h"
#include "core/hd.h"

namespace aligndec::core {

constexpr double kMostTokens = 9007199254740992.0;  // 2^53: float64 holds every id below

// e^(a x - b) for a x <= b, through exp32: x is first moved by a float near b / a, so that large
// offsets cost nothing.
struct ShiftedExp {
  float centre, slope, rest;

  ALIGNDEC_HD ShiftedExp(double a, double b)
      : centre(static_cast<float>(b / a)),
        slope(static_cast<float>(a)),
        rest(static_cast<float>(static_cast<double>(static_cast<float>(b / a)) * a - b)) {}

  ALIGNDEC_HD float operator()(float x) const {
    const float t = fma32(x - centre, slope, rest), capped = t < 0.0f ? t : 0.0f;
    return exp32(capped > kLowestLogit ? capped : kLowestLogit);
  }
};

// What one scored token adds to the gradient of its row: base_weight p + kept_weight q, q in
// [low, high] only, then token_weight at the token and top_weight at the token of a greedy row.
struct RowGradient {
  ShiftedExp base, kept;
  float base_weight, kept_weight, token_weight, top_weight, low, high;
  int64_t top;  // the token of a greedy row, else -1

  // `heads`: the gradients of log_p, log_q and log_z; `cut`: low, high, L1 and LC, for which a
  // greedy row has its token. A token that does not exist gives none for log_p.
  ALIGNDEC_HD RowGradient(const Rule& rule, int64_t status, bool exists, const double (&heads)[3],
                          const double (&cut)[4])
      : base(1.0, cut[2]),
        kept(rule.greedy() ? 1.0 : 1.0 / rule.tau, rule.greedy() ? 0.0 : cut[3]),
        low(static_cast<float>(cut[0])),
        high(static_cast<float>(cut[1])),
        top(rule.greedy() && cut[3] >= 0.0 && cut[3] < kMostTokens ? static_cast<int64_t>(cut[3])
                                                                   : -1) {
    const double inverse = rule.greedy() ? 1.0 : 1.0 / rule.tau;
    const double g_p = exists ? heads[0] : 0.0;
    const double g_q = status == kOk ? heads[1] * inverse : 0.0;
    const double g_z = heads[2] * inverse;
    const auto kept_share = static_cast<float>(g_z - g_q);
    base_weight = static_cast<float>(-(g_p + g_z));
    kept_weight = rule.greedy() ? 0.0f : kept_share;
    top_weight = rule.greedy() ? kept_share : 0.0f;
    token_weight = exists ? static_cast<float>(g_p + g_q) : 0.0f;
  }
};

// Whether a token of this status has a gradient.
ALIGNDEC_HD bool has_gradient(int64_t status) { return status == kOk || status == kOutside; }

}  // namespace aligndec::core
