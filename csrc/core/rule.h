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

constexpr int kRuleColumns = 21;

// What cuts a law, in the order in which it does.
enum Stage : int {
  kTopK,
  kTopP,
  kMinP,
  kTypical,
  kEpsilon,
  kEta,
  kSigma,
  kPLess,
  kTopH,
  kTopA,
  kXtc,
  kStages
};

// A rule: what one row of the packed parameters says, or the identity.
struct Rule {
  double tau = 1.0;
  Scale scale{true, 1.0f, 0.0f};
  double top_k = 0.0, top_p = 1.0, ln_min_p = -INFINITY, typical_p = 1.0, ln_epsilon = -INFINITY,
         ln_eta = -INFINITY, n_sigma = 0.0, p_less = 0.0, top_h = 0.0, ln_top_a = -INFINITY,
         ln_xtc = -INFINITY;
  double tau_low = 1.0, tau_high = 1.0, tau_exponent = 0.0;  // of a dynamic temperature
  double xtc_chance = 0.0;
  bool xtc = false;  // whether the coin of this token came up
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
        p_less(p[14]),
        top_h(p[15]),
        ln_top_a(p[13]),
        ln_xtc(p[19]),
        tau_low(p[16]),
        tau_high(p[17]),
        tau_exponent(p[18]),
        xtc_chance(p[20]),
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
      case kPLess:
        return p_less > 0.0;
      case kTopH:
        return top_h > 0.0 && top_h < 1.0;
      case kTopA:
        return ln_top_a > -INFINITY;
      case kXtc:
        return xtc;
      default:
        return false;
    }
  }
  ALIGNDEC_HD bool greedy() const { return tau == 0.0; }
  // Whether every row has a temperature of its own, which has to be set first.
  ALIGNDEC_HD bool dynamic() const { return tau_exponent > 0.0; }
  ALIGNDEC_HD void set_temperature(double value) {
    const double inverse = 1.0 / value;
    const auto high = static_cast<float>(inverse);
    tau = value;
    scale = {value == 1.0, high, static_cast<float>(inverse - static_cast<double>(high))};
  }
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
  ALIGNDEC_HD bool needs_entropy() const { return has(kTypical) || has(kEta) || has(kTopH); }
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
