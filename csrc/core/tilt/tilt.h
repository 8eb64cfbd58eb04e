// The tilted law phi ~ p exp(beta r), beta >= 0: what a row's sums mean. How they are formed is in
// tilt_terms.h, what is asked of them in tilt_search.h; the loops over the row belong to the
// device. Python's specification is aligndec/reference/tilt_problem.py.
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

#include "core/tilt/groups.h"

namespace aligndec::core {

// One row, tilted towards its best reward; rewards count as sign * r.
struct TiltRow {
  double sign;
  TiltGroups groups;
  double scale, per_scale;  // unit of g, and 1 over it
  double floor;             // -ln p{r > -inf}: every beta > 0 spends it
  double kl_max;            // -ln p{top | r > -inf}
  double centre, spread;    // mean and variance of g
  double log_mass;          // ln p{r > -inf} - groups.live()
  bool constant, deep;      // deep: masses that a float64 cannot hold
};

// KL, mean of g, its change from the centre, variance, ln S + shift, at one beta.
struct TiltPoint {
  double kl, left, mean, moved, variance, log_norm;
};

// Sums of p (e^x - 1), p h(x), p (e^x - 1)(g - c), p e^x (g - c)^2.
struct NearSums {
  double eta = 0.0, h = 0.0, d = 0.0, square = 0.0;

  ALIGNDEC_HD void add(const NearSums& o) {
    eta += o.eta;
    h += o.h;
    d += o.d;
    square += o.square;
  }
};

// Sums of p e^(beta g) g^k over the outcomes below the top, over p(top) e^shift: shift is 0, or
// what the logarithm of the first is near to, where a float64 cannot hold it.
struct FarSums {
  double rest = 0.0, first = 0.0, second = 0.0;

  ALIGNDEC_HD void add(const FarSums& o) {
    rest += o.rest;
    first += o.first;
    second += o.second;
  }
};

// Sums of p e^x (g - m)^2, p (e^y - 1 - y), p (g - c); y = beta (g - c).
struct TiltDetail {
  double square = 0.0, excess = 0.0, drift = 0.0;

  ALIGNDEC_HD void add(const TiltDetail& o) {
    square += o.square;
    excess += o.excess;
    drift += o.drift;
  }
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

ALIGNDEC_HD void far_point(const FarSums& s, double beta, double shift, const TiltRow& row,
                           TiltPoint& out) {
  const double total = exp(-shift) + s.rest;
  const double log_total = shift > 0.0 ? shift + log(total) : log1p(s.rest);
  out.mean = s.first / total;
  out.left = log_total - beta * out.mean;
  out.kl = row.kl_max - out.left;
  out.moved = out.mean - row.centre;
  out.variance = s.second / total - out.mean * out.mean;
  out.log_norm = log_total - row.kl_max;
}

}  // namespace aligndec::core
