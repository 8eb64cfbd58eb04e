// The tilted law phi ~ p exp(beta r), beta >= 0: what a row's sums mean, and the root search that
// needs them. The loops over the row belong to the device; Python's specification is
// _tilt_problem.py and _tilt_root.py.
//
// Rewards enter as g = (r - r_max) / scale in [-1, 0], p given r > -inf and normalised. Two forms,
// each without cancellation in its half of the range (Yang et al. 2024 for the quantities):
//
//   near beta = 0:  x = beta g - shift, any shift near ln sum p exp(beta g)
//                   KL = H/S - (ln S - (S-1)/S),  H = sum p (x e^x - e^x + 1),  S = 1 + sum p (e^x
//                   - 1)
//   near the top:   KL_max - KL = ln(1 + rho) - beta E g,  rho = phi(rest) / phi(top)
#pragma once

#include <cmath>

#include "core/hd.h"

namespace aligndec::core {

// e^x = 2^n (1 + r + r^2 Q(r)) with n = round(x / ln 2); Q: Taylor to 3e-17 for |r| <= ln 2 / 2.
// kLn2Hi has 32 trailing zero bits less than 53, so n * kLn2Hi is exact without an fma.
struct TiltExp {
  static constexpr double kMin = -708.0, kMax = 709.0;
  static constexpr double kLog2E = 0x1.71547652b82fep+0;
  static constexpr double kMagic = 0x1.8p+52;
  static constexpr double kLn2Hi = 0x1.62e42fefap-1;
  static constexpr double kLn2Lo = 0x1.cf79abc9e3b3ap-40;
  static constexpr int kTerms = 12;
  // 1/13!, 1/12!, ... 1/2!
  static constexpr double kQ[kTerms] = {
      1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320,
      1.0 / 5040,       1.0 / 720,       1.0 / 120,      1.0 / 24,      1.0 / 6,      0.5};
};

// One row, tilted towards its best reward.
struct TiltRow {
  double floor;                        // -ln p{r > -inf}: every beta > 0 spends it
  double kl_max;                       // -ln p{top | r > -inf}
  double log_top;                      // -kl_max without its rounding near 0: ln p{top | live}
  double best, scale, centre, spread;  // r_max, unit of g, mean and variance of g
  bool constant;
};

// KL, mean of g, its change from the centre, variance, ln S + shift, at one beta.
struct TiltPoint {
  double kl, left, mean, moved, variance, log_norm;
};

struct NearSums {
  double eta, h, d, square;  // sums of p (e^x - 1), p h(x), p (e^x - 1)(g - c), p e^x (g - c)^2
};

struct FarSums {
  double rest, first,
      second;  // sums of p e^(beta g) g^k over the outcomes below the top, over p(top)
};

// True when the shift was close enough: the correction is below half of what it corrects.
ALIGNDEC_HD bool near_point(const NearSums& s, double shift, const TiltRow& row, TiltPoint& out) {
  const double total = 1.0 + s.eta, log_total = log1p(s.eta);
  double bend = log_total - s.eta / total;
  if (fabs(s.eta) < 1e-3) bend = s.eta * s.eta * (0.5 - s.eta * (2.0 / 3.0 - 0.75 * s.eta));
  const double main = s.h / total;
  out.kl = main > bend ? main - bend : 0.0;
  out.left = row.kl_max - out.kl;
  out.moved = s.d / total;
  out.mean = row.centre + out.moved;
  out.variance = s.square / total - out.moved * out.moved;
  out.log_norm = shift + log_total;
  return bend <= 0.5 * main;
}

ALIGNDEC_HD void far_point(const FarSums& s, double beta, const TiltRow& row, TiltPoint& out) {
  const double total = 1.0 + s.rest;
  out.mean = s.first / total;
  out.left = log1p(s.rest) - beta * out.mean;
  out.kl = row.kl_max - out.left;
  out.moved = out.mean - row.centre;
  out.variance = s.second / total - out.mean * out.mean;
  out.log_norm = row.log_top + log1p(s.rest);
}

// What is asked for: `low` above the start of the range and `high` below its end `whole`, as
// divergences or as means of g.
struct TiltTarget {
  double low, high, whole;
  bool reward;
  ALIGNDEC_HD bool upper_half() const { return high < whole / 2; }
};

// Newton on sqrt(2 KL), or ln(KL_max - KL) in the upper half (rewards: on the mean, or the
// logarithm of its distance from the top), inside a bracket; outside of it the geometric middle.
struct TiltRoot {
  static constexpr int kMost = 100;
  static constexpr double kStep = 1e-10;  // relative to beta; the error left is its square
  double beta, lower = 0.0, upper = HUGE_VAL;
  int iterations = 0;

  // The law of the same variance and reach whose tilt is that of a Poisson variable (Bennett).
  ALIGNDEC_HD TiltRoot(const TiltTarget& t, double spread, double reach) {
    // The variance may underflow where the best outcomes are that improbable.
    const double v = fmin(t.low * reach * (t.reward ? 1.0 : reach) / spread, 1e300);
    beta = log1p(t.reward ? v : sqrt(2 * v) + v / 3) / reach;
    if (!t.reward && beta < t.low / reach) beta = t.low / reach;
    if (!(beta < HUGE_VAL)) beta = 1.0;
  }

  // One step from the numbers at beta; `moved_by` is what beta changed by. False when done.
  ALIGNDEC_HD bool advance(const TiltTarget& t, double kl, double left, double moved, double mean,
                           double variance, double& moved_by) {
    double step;
    bool below;
    if (t.upper_half()) {
      const double here = t.reward ? -mean : left;
      step = log(here / t.high) * here / (t.reward ? variance : beta * variance);
      below = here > t.high;
    } else if (t.reward) {
      step = (t.low - moved) / variance;
      below = moved < t.low;
    } else {
      const double size = sqrt(2 * kl), root = sqrt(2 * t.low);
      step = (root - size) * size / (beta * variance);
      below = size < root;
    }
    ++iterations;
    (below ? lower : upper) = beta;
    // Without any change to go by, the step is no measure of the error.
    const bool is_small = variance > 0 && (t.reward || kl > 0) && fabs(step) <= kStep * beta;
    const bool inside = beta + step > lower && beta + step < upper;
    const double before = beta;
    if (inside || is_small) {
      beta += step;
    } else if (upper == HUGE_VAL) {
      beta *= 8;
    } else {
      beta = lower == 0.0 ? beta / 8 : sqrt(lower * upper);
    }
    moved_by = beta - before;
    const bool narrow = upper < HUGE_VAL && upper - lower <= 4e-16 * upper;
    return !(is_small || narrow || iterations == kMost);
  }
};

}  // namespace aligndec::core
