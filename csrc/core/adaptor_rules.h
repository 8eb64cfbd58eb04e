// The kept-set rules of the adaptors: what each stage needs from the survivors' masses and where it
// cuts. This file and aligndec's reference are the only places where these formulas stand.
//
// Every stage keeps an interval of logits: from a threshold on, or a prefix of an order up to a
// limit. How the end of a prefix is found is the kernels' affair. Float64 throughout, in the order
// written, never fused.
#pragma once

#include <cmath>
#include <cstdint>

#include "core/draw.h"
#include "core/exp64.h"
#include "core/fixed_point.h"
#include "core/gap_moments.h"
#include "core/hd.h"
#include "core/rule.h"

namespace aligndec::core {

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

// p >= a max(p)^2, where tau ln max(p) = (max - top) - tau ln W; the most probable survivors stay.
ALIGNDEC_HD double top_a_cut(const Rule& rule, const Survivors& s, float top) {
  const double max = static_cast<double>(s.max);
  const double twice = max + (max - static_cast<double>(top));
  return at_most_max(twice + rule.cut_tau() * (rule.ln_top_a - log_mass(s.mass)), s);
}

// Stages that keep x >= a threshold known from the survivors' masses alone, and the threshold.
ALIGNDEC_HD bool is_closed(Stage stage) {
  return stage == kMinP || stage == kEpsilon || stage == kEta || stage == kTopA;
}
ALIGNDEC_HD double closed_cut(const Rule& rule, Stage stage, const Survivors& s, float top) {
  switch (stage) {
    case kMinP:
      return min_p_cut(rule, s);
    case kEpsilon:
      return epsilon_cut(rule, s, top);
    case kEta:
      return eta_cut(rule, s, top);
    default:
      return top_a_cut(rule, s, top);
  }
}

// Stages that keep a prefix, ties at its end included, and what the prefix must reach: k tokens or
// p of the mass, most probable first (top_k, top_p), or closest to the entropy first (typical_p).
ALIGNDEC_HD bool is_prefix(Stage stage) {
  return stage == kTopK || stage == kTopP || stage == kTypical;
}
ALIGNDEC_HD uint64_t prefix_limit(const Rule& rule, Stage stage, const Survivors& s) {
  if (stage == kTopK) return static_cast<uint64_t>(rule.top_k);
  return ceil_scaled(stage == kTopP ? rule.top_p : rule.typical_p, s.mass);
}

// The logit whose surprise is the entropy: typical_p orders by the distance from it (Meister et al.
// 2023).
ALIGNDEC_HD double typical_centre(const Rule& rule, const Survivors& s, float top) {
  return static_cast<double>(top) - rule.cut_tau() * mass_ratio(s.entropy, s.mass);
}
ALIGNDEC_HD double typical_key(double centre, float x) {
  return fabs(static_cast<double>(x) - centre);
}

// p >= (sum p^k)^(1 / (k - 1)), given ln sum w^k (Runyan et al. 2025); the most probable survivors
// always stay.
ALIGNDEC_HD double p_less_cut(const Rule& rule, const Survivors& s, float top, double log_powers) {
  const double ln_cut = (log_powers - log_mass(s.mass)) / (rule.p_less - 1.0);
  return at_most_max(static_cast<double>(top) + rule.cut_tau() * ln_cut, s);
}

// p >= t: the choices of which xtc keeps the least probable alone.
ALIGNDEC_HD double xtc_cut(const Rule& rule, const Survivors& s, float top) {
  return static_cast<double>(top) + rule.cut_tau() * (rule.ln_xtc + log_mass(s.mass));
}

// The temperature of a row: low + (high - low) (H / ln n)^exponent, H and n of its tokens at
// temperature 1; low where there is one token.
ALIGNDEC_HD double row_temperature(const Rule& rule, uint64_t mass, uint64_t entropy,
                                   int64_t count) {
  const double h = log_mass(mass) + mass_ratio(entropy, mass);
  if (!(h > 0.0)) return rule.tau_low;
  const double share = h / log_positive(static_cast<double>(count));
  const double power = exp64(rule.tau_exponent * log_positive(share < 1.0 ? share : 1.0));
  return rule.tau_low + (rule.tau_high - rule.tau_low) * power;
}

// x >= max - n sigma, sigma over the whole row (Tang et al. 2024).
ALIGNDEC_HD double sigma_cut(const Rule& rule, const Survivors& s, const GapMoments& g) {
  return at_most_max(static_cast<double>(s.max) - rule.n_sigma * gap_sigma(g), s);
}

}  // namespace aligndec::core
