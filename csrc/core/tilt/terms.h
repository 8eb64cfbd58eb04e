// What one outcome adds to the sums of a tilted row, in logarithms: no mass is too small. a is its
// ln p given the live outcomes.
#pragma once

#include "core/tilt/exp.h"
#include "core/tilt/tilt.h"

namespace aligndec::core {

// ln of a sum of e^x, whatever the size of x.
struct TiltLogSum {
  double most = -INFINITY, sum = 0.0;

  ALIGNDEC_HD double value() const { return most + log(sum); }
  ALIGNDEC_HD void count(double x) { add({x, 1.0}); }
  ALIGNDEC_HD void add(const TiltLogSum& o) {
    const double high = fmax(most, o.most), other = tilt_exp(-fabs(most - o.most));
    sum = most == o.most ? sum + o.sum : most < o.most ? sum * other + o.sum : sum + o.sum * other;
    most = high;
  }
};

// An outcome's ln p given the live ones, and its g, in [-1, 0] also where it does not count.
ALIGNDEC_HD double live_log_law(const TiltRow& row, double a) {
  return (a - row.groups.live()) - row.log_mass;
}
ALIGNDEC_HD double gap(const TiltRow& row, double y) {
  return fmax(fmin((y - row.groups.best) * row.per_scale, 0.0), -1.0);
}

// p e^x for p = e^a, where p alone may be no float64.
ALIGNDEC_HD double tilted_mass(double a, double p, double x, const TiltExpParts& of_x) {
  return a > -600.0 ? p * of_x.e : tilt_exp(a + x);
}

ALIGNDEC_HD void count(NearSums& s, const TiltRow& row, double beta, double shift, double a,
                       double g) {
  const double x = beta * g - shift, p = tilt_exp(a), away = g - row.centre;
  const TiltExpParts parts(x);
  const double q = tilted_mass(a, p, x, parts), change = parts.small ? p * parts.em : q - p;
  s.eta += change;
  s.h += parts.small ? p * (x * parts.em - parts.curve) : (q > 0.0 ? x * q : 0.0) - change;
  s.d += change * away;
  s.square += q * away * away;
}
ALIGNDEC_HD void count(FarSums& s, const TiltRow& row, double beta, double shift, double a,
                       double g) {
  if (g == 0.0) return;
  const double w = tilt_exp(a + beta * g + (row.kl_max - shift));
  s.rest += w;
  s.first += w * g;
  s.second += w * g * g;
}
ALIGNDEC_HD void count(TiltDetail& s, const TiltRow& row, double beta, double shift, double mean,
                       double a, double g) {
  const double x = beta * g - shift, p = tilt_exp(a), away = g - row.centre, y = beta * away;
  const TiltExpParts of_y(y);
  s.square += tilted_mass(a, p, x, TiltExpParts(x)) * (g - mean) * (g - mean);
  s.excess += p * (of_y.small ? of_y.curve : of_y.e - 1.0 - y);
  s.drift += p * away;
}

}  // namespace aligndec::core
