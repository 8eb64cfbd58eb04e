// The kept-set rules of the adaptors: what each stage needs from the survivors' masses and where it
// cuts. This file and aligndec's reference are the only places where these formulas stand.
//
// Every stage keeps an interval of logits. Float64 throughout, in the order written, never fused.
// Logs of parameters arrive ready-made; a log parameter that is -inf, like top_k = 0 or top_p = 1,
// means that the stage is off.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/fixed_point.h"
#include "core/gap_moments.h"
#include "core/hd.h"

namespace aligndec::core {

constexpr int kRuleColumns = 13;

// One row of the packed parameters.
struct Rule {
  double tau;
  Scale scale;
  double top_k, top_p, ln_min_p, typical_p, ln_epsilon, ln_eta, n_sigma;
  bool cut_base;

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
        cut_base(p[10] != 0.0) {}

  ALIGNDEC_HD bool greedy() const { return tau == 0.0; }
  ALIGNDEC_HD bool has_top_k() const { return top_k > 0.0; }
  ALIGNDEC_HD bool has_top_p() const { return top_p < 1.0; }
  ALIGNDEC_HD bool has_min_p() const { return ln_min_p > -INFINITY; }
  ALIGNDEC_HD bool has_typical() const { return typical_p < 1.0; }
  ALIGNDEC_HD bool has_epsilon() const { return ln_epsilon > -INFINITY; }
  ALIGNDEC_HD bool has_eta() const { return ln_eta > -INFINITY; }
  ALIGNDEC_HD bool has_sigma() const { return n_sigma > 0.0; }
  // Whether a stage cuts a row of `count` tokens.
  ALIGNDEC_HD bool truncates(int64_t count) const {
    return cuts_top_k(count) || has_top_p() || has_min_p() || has_typical() || has_epsilon() ||
           has_eta() || has_sigma();
  }
  ALIGNDEC_HD bool cuts_top_k(int64_t count) const {
    return has_top_k() && top_k < static_cast<double>(count);
  }
  // Sets are decided at the temperature of the scaled law, or at 1 (cut_on = "base").
  ALIGNDEC_HD double cut_tau() const { return cut_base ? 1.0 : tau; }
  ALIGNDEC_HD bool cuts_on_base() const { return cut_base || scale.identity; }
  // Whether a stage reads the entropy of its survivors.
  ALIGNDEC_HD bool needs_entropy() const { return has_typical() || has_eta(); }
};

// The k most probable tokens at temperature 1.
ALIGNDEC_HD Rule top_k_rule(int64_t k) {
  const double off = -INFINITY;
  const double params[kRuleColumns] = {
      1.0, 1.0, 0.0, static_cast<double>(k), 1.0, off, 1.0, off, off, 0.0, 0.0, 0.0, 0.0};
  return Rule(params);
}

// The survivors of the earlier stages, under the law that decides.
struct Survivors {
  uint64_t mass;     // W
  uint64_t entropy;  // E
  float max;
  int64_t count;
};

// x >= max + tau ln min_p.
ALIGNDEC_HD double min_p_cut(const Rule& rule, const Survivors& s) {
  return static_cast<double>(s.max) + rule.cut_tau() * rule.ln_min_p;
}

ALIGNDEC_HD double at_most_max(double cut, const Survivors& s) {
  const double max = static_cast<double>(s.max);
  return cut < max ? cut : max;
}

// p >= epsilon; the most probable survivors always stay. `top` is the row's maximum, which weights
// are relative to.
ALIGNDEC_HD double epsilon_cut(const Rule& rule, const Survivors& s, float top) {
  const double cut =
      static_cast<double>(top) + rule.cut_tau() * (rule.ln_epsilon + log_mass(s.mass));
  return at_most_max(cut, s);
}

// p >= min(eta, sqrt(eta) exp(-H)) (Hewitt et al. 2022); the most probable survivors always stay.
ALIGNDEC_HD double eta_cut(const Rule& rule, const Survivors& s, float top) {
  const double log_w = log_mass(s.mass);
  const double entropy = log_w + mass_ratio(s.entropy, s.mass);
  const double relative = 0.5 * rule.ln_eta - entropy;
  const double ln_cut = rule.ln_eta < relative ? rule.ln_eta : relative;
  return at_most_max(static_cast<double>(top) + rule.cut_tau() * (ln_cut + log_w), s);
}

// The cut of the one threshold stage among min_p, epsilon and eta that is on.
ALIGNDEC_HD double threshold_cut(const Rule& rule, const Survivors& s, float top) {
  if (rule.has_min_p()) return min_p_cut(rule, s);
  return rule.has_epsilon() ? epsilon_cut(rule, s, top) : eta_cut(rule, s, top);
}

// The logit whose surprise is the entropy: typical_p orders by the distance from it (Meister et al.
// 2023).
ALIGNDEC_HD double typical_centre(const Rule& rule, const Survivors& s, float top) {
  return static_cast<double>(top) - rule.cut_tau() * mass_ratio(s.entropy, s.mass);
}
ALIGNDEC_HD double typical_key(double centre, float x) {
  return fabs(static_cast<double>(x) - centre);
}

// x >= max - n sigma, sigma over the whole row (Tang et al. 2024).
ALIGNDEC_HD double sigma_cut(const Rule& rule, const Survivors& s, const GapMoments& g) {
  return at_most_max(static_cast<double>(s.max) - rule.n_sigma * gap_sigma(g), s);
}

}  // namespace aligndec::core
