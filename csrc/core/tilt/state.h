// A tilted row, the same on every device. Sums is what the device provides, the loops over a row:
//
//   TiltGroups groups(sign)                     of sign * r
//   TiltMasses masses(row)                      row: sign, groups, scale; then all of it:
//   NearSums near(row, beta, shift)
//   FarSums far(row, beta, shift)
//   TiltDetail detail(row, beta, shift, mean)
//   double log_norm(row, beta)                  ln sum p e^(beta g); asked of deep rows only
//   WideMasses wide(row)
#pragma once

#include "core/tilt/groups.h"
#include "core/tilt/terms.h"

namespace aligndec::core {

// ln(1 + s e^d)
ALIGNDEC_HD double log1p_scaled(double d, double s) {
  if (s == 0.0) return 0.0;
  return d <= 0.0 ? log1p(s * exp(d)) : d + log(s + exp(-d));
}
ALIGNDEC_HD DoubleDouble log1p_scaled(DoubleDouble d, DoubleDouble s) {
  if (s.hi == 0.0) return {};
  if (d.hi <= 0.0) return wide_log1p(s * wide_exp(d));
  return d + wide_log1p(s + wide_exp(-d) - DoubleDouble{1.0});
}

// The ends of the range of a KL: floor, and floor + kl_max.
struct TiltEnds {
  DoubleDouble least, most;
};

template <class Sums>
class TiltState {
 public:
  ALIGNDEC_D explicit TiltState(const Sums& sums) : sums_(sums) {}

  // Looks at the rewards, then weighs the law; the unit of g is `scale`, or 1 for 0.
  ALIGNDEC_D void scan(double sign) {
    row_ = {};
    row_.sign = sign;
    row_.groups = sums_.groups(sign);
  }
  ALIGNDEC_D void weigh(double scale);
  // Tilts towards sign * r from now on.
  ALIGNDEC_D void turn(double sign) {
    if (row_.sign == sign) return;
    scan(sign);
    weigh(row_.groups.span());
  }

  ALIGNDEC_D double span() const { return row_.groups.span(); }
  ALIGNDEC_D const TiltRow& row() const { return row_; }
  ALIGNDEC_D const TiltPoint& point() const { return point_; }
  ALIGNDEC_D double reward(double mean) const {
    return row_.sign * (row_.groups.best + row_.scale * mean);
  }
  // `upper`: by the form for the upper half of the range.
  ALIGNDEC_D const TiltPoint& at(double beta, bool upper);
  // Moves the point by a change of beta so small that its first order is exact.
  ALIGNDEC_D void settle(double beta, double change) {
    point_.kl += beta * point_.variance * change;
    point_.mean += point_.variance * change;
  }
  ALIGNDEC_D TiltDetail detail(double beta) const {
    return sums_.detail(row_, beta, point_.log_norm, point_.mean);
  }
  ALIGNDEC_D TiltEnds ends() const;

 private:
  Sums sums_;
  TiltRow row_{};
  TiltPoint point_{};
  double beta_ = 0.0;
};

template <class Sums>
ALIGNDEC_D void TiltState<Sums>::weigh(double scale) {
  const TiltGroups& groups = row_.groups;
  point_ = {};
  beta_ = 0.0;
  row_.scale = scale > 0.0 ? scale : 1.0;
  row_.per_scale = 1.0 / row_.scale;
  row_.constant = !(groups.best > -INFINITY);  // nothing but -inf: nothing to choose
  if (row_.constant) return;
  const TiltMasses m = sums_.masses(row_);
  const double live = groups.live(), of_rest = exp(groups.rest - live);
  const double mass = m.top * exp(groups.top - live) + m.rest * of_rest;
  row_.log_mass = log(mass);
  row_.floor = log1p_scaled(groups.dead - live, m.dead / mass);
  row_.kl_max = log1p_scaled(groups.rest - groups.top, m.rest / m.top);
  row_.centre = m.first * of_rest / mass;
  row_.spread = m.second * of_rest / mass - row_.centre * row_.centre;
  row_.deep = groups.deep();
  if (row_.deep || row_.spread < 1e-6)  // the difference above has lost its digits
    row_.spread = sums_.near(row_, 0.0, 0.0).square;
  row_.constant = row_.kl_max == 0.0 && row_.floor == 0.0;
  point_ = {0.0, row_.kl_max, row_.centre, 0.0, row_.spread, 0.0};
}

template <class Sums>
ALIGNDEC_D const TiltPoint& TiltState<Sums>::at(double beta, bool upper) {
  if (row_.constant) return point_;
  // No guess is good enough over the span of a deep row.
  const double log_norm = row_.deep ? sums_.log_norm(row_, beta) : 0.0;
  if (upper) {
    const double shift = row_.deep && log_norm + row_.kl_max > 1.0 ? log_norm + row_.kl_max : 0.0;
    far_point(sums_.far(row_, beta, shift), beta, shift, row_, point_);
  } else {
    const double step = beta - beta_;
    double shift = row_.deep
                       ? log_norm
                       : point_.log_norm + step * (point_.mean + 0.5 * step * point_.variance);
    for (int turn = 0; turn < 4; ++turn) {
      shift = fmin(fmax(shift, -row_.kl_max), 0.0);
      if (near_point(sums_.near(row_, beta, shift), shift, row_, point_)) break;
      shift = point_.log_norm;
    }
  }
  beta_ = beta;
  return point_;
}

template <class Sums>
ALIGNDEC_D TiltEnds TiltState<Sums>::ends() const {
  if (row_.constant) return {};
  const TiltGroups& groups = row_.groups;
  const WideMasses m = sums_.wide(row_);
  const double live = groups.live();
  const DoubleDouble mass =
      m.top * wide_exp(two_sum(groups.top, -live)) + m.rest * wide_exp(two_sum(groups.rest, -live));
  const DoubleDouble floor = log1p_scaled(two_sum(groups.dead, -live), m.dead / mass);
  return {floor, floor + log1p_scaled(two_sum(groups.rest, -groups.top), m.rest / m.top)};
}

}  // namespace aligndec::core
