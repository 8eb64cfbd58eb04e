// Gradient of a scored token with the kept set held fixed. With 1 the indicator of the token:
//   d log_p = 1 - p,   d log_q = (1 - q) / tau,   d log_z = (q - p) / tau.
// A greedy row is tau = 1 with q the indicator of the arg-max. Where tau follows from the entropy H
// of the row (dynamic temperature), its own share comes on top, with E the mean of x under q:
//   d log_q / d tau = (E - x_token) / tau^2,   d log_z / d tau = (L1 - E) / tau^2,
//   d tau / d H = exponent (tau - low) / H,   d H / d x = -p (x - L1 + H).
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

// What a backward pass knows of a scored token: the kept set, L1 and LC, the temperature, the mean
// of x under q, the entropy of the row. A greedy row, which needs no LC, has its token there.
struct CutRecord {
  static constexpr int kRows = 7;
  double low, high, log_base, log_kept, tau, mean, entropy;
};

// What one scored token adds to the gradient of its row: base_weight p + kept_weight q, q in
// [low, high] only, + entropy_weight p (x - entropy_centre), then token_weight at the token and
// top_weight at the token of a greedy row.
struct RowGradient {
  ShiftedExp base, kept;
  float base_weight, kept_weight, token_weight, top_weight, low, high, entropy_weight,
      entropy_centre;
  int64_t top;  // the token of a greedy row, else -1

  // `heads`: the gradients of log_p, log_q and log_z; `x`: the token's logit. A token that does not
  // exist gives none for log_p.
  ALIGNDEC_HD RowGradient(const Rule& rule, int64_t status, float x, const double (&heads)[3],
                          const CutRecord& cut)
      : base(1.0, cut.log_base),
        kept(rule.greedy() ? 1.0 : 1.0 / cut.tau, rule.greedy() ? 0.0 : cut.log_kept),
        low(static_cast<float>(cut.low)),
        high(static_cast<float>(cut.high)),
        entropy_weight(0.0f),
        entropy_centre(static_cast<float>(cut.log_base - cut.entropy)),
        top(rule.greedy() && cut.log_kept >= 0.0 && cut.log_kept < kMostTokens
                ? static_cast<int64_t>(cut.log_kept)
                : -1) {
    const bool exists = x > -INFINITY;
    const double inverse = rule.greedy() ? 1.0 : 1.0 / cut.tau;
    const double g_p = exists ? heads[0] : 0.0;
    const double g_q = status == kOk ? heads[1] * inverse : 0.0;
    const double g_z = heads[2] * inverse;
    const auto kept_share = static_cast<float>(g_z - g_q);
    base_weight = static_cast<float>(-(g_p + g_z));
    kept_weight = rule.greedy() ? 0.0f : kept_share;
    top_weight = rule.greedy() ? kept_share : 0.0f;
    token_weight = exists ? static_cast<float>(g_p + g_q) : 0.0f;
    if (rule.dynamic() && cut.entropy > 0.0) {
      const double along = (exists ? g_q * (cut.mean - static_cast<double>(x)) : 0.0) +
                           g_z * (cut.log_base - cut.mean);
      const double slope = rule.tau_exponent * (cut.tau - rule.tau_low) / cut.entropy;
      entropy_weight = static_cast<float>(-(along * inverse * slope));
    }
  }
};

// Whether a token of this status has a gradient.
ALIGNDEC_HD bool has_gradient(int64_t status) { return status == kOk || status == kOutside; }

}  // namespace aligndec::core
