// Gradient of a scored token with the kept set held fixed. With 1 the indicator of the token:
//   d log_p = 1 - p,   d log_q = (1 - q) / tau,   d log_z = (q - p) / tau,
// and of a given set d log_kept = (q - s) / tau, s the scaled law of all tokens. p is of the logits
// as they came, q and s of the edited ones. A greedy row is tau = 1 with q the indicator of the
// arg-max and s = p. Where tau follows from the entropy H of the row (dynamic temperature, without
// bias and given sets), its own share comes on top, with E the mean of x under q:
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

// The upstream gradients of one token.
struct GradientHeads {
  double log_p, log_q, log_z, log_kept;
};

// What one scored token adds to the gradient of its row: base_weight p + scaled_weight s +
// kept_weight q, q of the kept tokens only, + entropy_weight p (x - entropy_centre), then
// token_weight at the token and top_weight at the token of a greedy row.
struct RowGradient {
  ShiftedExp base, kept, scaled;
  float base_weight, kept_weight, scaled_weight, token_weight, top_weight, low, high,
      entropy_weight, entropy_centre;
  int64_t top;  // the token of a greedy row, else -1

  // `x`: the token's logit as it came; one that does not exist (-inf) gives none for log_p.
  // `log_kept`: of a given set, else 0. Where no kept set is known, log_p alone has a gradient.
  ALIGNDEC_HD RowGradient(const Rule& rule, int64_t status, float x, const GradientHeads& heads,
                          const CutRecord& cut, double log_kept)
      : base(1.0, cut.log_base),
        kept(rule.greedy() ? 1.0 : 1.0 / cut.tau, rule.greedy() ? 0.0 : cut.log_kept),
        scaled(rule.greedy() ? 1.0 : 1.0 / cut.tau, rule.greedy() ? 0.0 : cut.log_kept - log_kept),
        low(static_cast<float>(cut.low)),
        high(static_cast<float>(cut.high)),
        entropy_weight(0.0f),
        entropy_centre(static_cast<float>(cut.log_base - cut.entropy)),
        top(rule.greedy() && cut.log_kept >= 0.0 && cut.log_kept < kMostTokens
                ? static_cast<int64_t>(cut.log_kept)
                : -1) {
    const bool exists = x > -INFINITY, scored = status == kOk || status == kOutside;
    const double inverse = rule.greedy() ? 1.0 : 1.0 / cut.tau;
    const double g_p = exists ? heads.log_p : 0.0;
    const double g_q = status == kOk ? heads.log_q * inverse : 0.0;
    double g_z = scored ? heads.log_z * inverse : 0.0;
    double g_k = scored ? heads.log_kept * inverse : 0.0;
    if (rule.greedy()) {
      g_z += g_k;
      g_k = 0.0;
    }
    const auto kept_share = static_cast<float>(g_z + g_k - g_q);
    base_weight = static_cast<float>(-(g_p + g_z));
    scaled_weight = static_cast<float>(-g_k);
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

// Whether a token of this status has a gradient; `l1` is a number where the base law is known.
ALIGNDEC_HD bool has_gradient(int64_t status, double l1) {
  const bool lacks_set = status == kNoToken || status == kUnknownSet;
  return status == kOk || status == kOutside || (lacks_set && l1 == l1);
}

}  // namespace aligndec::core
