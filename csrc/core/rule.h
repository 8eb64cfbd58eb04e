// The rule of one row: what its packed parameters ask for, and in which order the stages cut.
//
// Logs of parameters arrive ready-made; a log parameter that is -inf, like top_k = 0 or top_p = 1,
// means that the stage is off.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/fixed_point.h"
#include "core/hd.h"

namespace aligndec::core {

constexpr int kRuleColumns = 14;

// What cuts a law, in the order in which it does.
enum Stage : int { kTopK, kTopP, kMinP, kTypical, kEpsilon, kEta, kSigma, kTopA, kStages };

// A rule: what one row of the packed parameters says, or the identity.
struct Rule {
  double tau = 1.0;
  Scale scale{true, 1.0f, 0.0f};
  double top_k = 0.0, top_p = 1.0, ln_min_p = -INFINITY, typical_p = 1.0, ln_epsilon = -INFINITY,
         ln_eta = -INFINITY, n_sigma = 0.0, ln_top_a = -INFINITY;
  bool cut_base = false;

  ALIGNDEC_HD Rule() {}
  ALIGNDEC_HD explicit Rule(const double* p)
      : tau(p[0]),
        scale{p[0] == 1.0, static_cast<float>(p[1]), static_cast<float>(p[2])},
        top_k(p[3]),
        top_p(p[4]),
        ln_min_p(p[5]),
        typical_p(p[6]),
        ln_epsilon(p[7]),
        ln_eta(p[8]),
        n_sigma(p[9]),
        ln_top_a(p[13]),
        cut_base(p[10] != 0.0) {}

  // Whether a stage is on.
  ALIGNDEC_HD bool has(Stage stage) const {
    switch (stage) {
      case kTopK:
        return top_k > 0.0;
      case kTopP:
        return top_p < 1.0;
      case kMinP:
        return ln_min_p > -INFINITY;
      case kTypical:
        return typical_p < 1.0;
      case kEpsilon:
        return ln_epsilon > -INFINITY;
      case kEta:
        return ln_eta > -INFINITY;
      case kSigma:
        return n_sigma > 0.0;
      case kTopA:
        return ln_top_a > -INFINITY;
      default:
        return false;
    }
  }
  ALIGNDEC_HD bool greedy() const { return tau == 0.0; }
  // Whether a stage may cut `count` survivors: top_k does not, where k is as many.
  ALIGNDEC_HD bool cuts(Stage stage, int64_t count) const {
    return has(stage) && (stage != kTopK || top_k < static_cast<double>(count));
  }
  // Whether any stage cuts a row of `count` tokens.
  ALIGNDEC_HD bool truncates(int64_t count) const {
    for (int stage = 0; stage < kStages; ++stage)
      if (cuts(static_cast<Stage>(stage), count)) return true;
    return false;
  }
  // Sets are decided at the temperature of the scaled law, or at 1 (cut_on = "base").
  ALIGNDEC_HD double cut_tau() const { return cut_base ? 1.0 : tau; }
  ALIGNDEC_HD bool cuts_on_base() const { return cut_base || scale.identity; }
  // Whether a stage reads the entropy of its survivors.
  ALIGNDEC_HD bool needs_entropy() const { return has(kTypical) || has(kEta); }
};

// The k most probable tokens at temperature 1.
ALIGNDEC_HD Rule top_k_rule(int64_t k) {
  Rule rule;
  rule.top_k = static_cast<double>(k);
  return rule;
}

// The survivors of the earlier stages, under the law that decides.
struct Survivors {
  uint64_t mass;     // W
  uint64_t entropy;  // E
  float max;
  int64_t count;
};

}  // namespace aligndec::core
