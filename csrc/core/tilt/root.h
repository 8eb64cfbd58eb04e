// What is asked of a tilted law, and the root search for it. Python's specification is
// aligndec/reference/tilt_root.py.
#pragma once

#include <cmath>

#include "core/hd.h"

namespace aligndec::core {

// What is asked for: `low` above the start of the range and `high` below its end, as divergences or
// as means of g.
struct TiltTarget {
  double low, high;
  bool upper;  // in the upper half
  bool reward;
};

// Newton on sqrt(2 KL), or ln(KL_max - KL) in the upper half (rewards: on the mean, or the
// logarithm of its distance from the top), inside a bracket; outside of it, or where steps twice
// failed to halve (on a plateau they are noise), the geometric middle.
struct TiltRoot {
  static constexpr int kMost = 100;
  static constexpr double kStep = 1e-10;  // relative to beta; the error left is its square
  double beta, lower = 0.0, upper = HUGE_VAL;
  double last = 0.0;  // what beta changed by
  int iterations = 0, slow = 0;

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
    if (t.upper) {
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
    lower = below ? beta : lower;
    upper = below ? upper : beta;
    // Without any change to go by, the step is no measure of the error.
    const bool is_small = variance > 0 && (t.reward || kl > 0) && fabs(step) <= kStep * beta;
    slow = lower > 0.0 && upper < HUGE_VAL && fabs(step) > 0.5 * last ? slow + 1 : 0;
    const bool inside = slow < 2 && beta + step > lower && beta + step < upper;
    const double before = beta;
    if (inside || is_small) {
      beta += step;
    } else if (upper == HUGE_VAL) {
      beta *= 8;
    } else {
      beta = lower == 0.0 ? beta / 8 : sqrt(lower * upper);
    }
    moved_by = beta - before;
    last = fabs(moved_by);
    const bool narrow = upper < HUGE_VAL && upper - lower <= 4e-16 * upper;
    return !(is_small || narrow || iterations == kMost);
  }
};

}  // namespace aligndec::core
