// The search for the tilt that reaches a target; the same on every device.
#pragma once

#include "core/tilt/root.h"
#include "core/tilt/state.h"

namespace aligndec::core {

// The distances of a KL from the ends of its range. Close to one of them (relatively) a float64
// of that end is not enough.
template <class Law>
ALIGNDEC_D TiltTarget kl_target(const Law& law, double kl) {
  constexpr double kClose = 1e-4;
  const TiltRow& row = law.row();
  const double most = row.floor + row.kl_max;
  TiltTarget t{kl - row.floor, most - kl, false, false};
  const bool near_most = t.high > 0.0 && t.high < kClose * most && row.kl_max > 0.0;
  if (near_most || (t.low > 0.0 && t.low < kClose * kl && row.floor > 0.0)) {
    const TiltEnds ends = law.ends();
    t.low = (DoubleDouble{kl} - ends.least).hi;
    t.high = (ends.most - DoubleDouble{kl}).hi;
  }
  t.upper = t.high < row.kl_max / 2;
  return t;
}

// beta in units of the row's; without iterations the law is that of an end of the range.
struct TiltFound {
  double beta = 0.0;
  bool saturated = false, constant = false, impossible = false;
  int64_t iterations = 0;
};

// Law: a TiltState, or several that share their beta, whose row() and points are then means.
template <class Law>
ALIGNDEC_D TiltFound find_tilt(Law& law, double wanted, bool reward) {
  const TiltRow& row = law.row();
  TiltFound out;
  out.constant = row.constant;
  if (row.constant) {  // what needs no root: rows with nothing to choose, the ends of the range
    out.impossible = reward && wanted != row.groups.best;
    return out;
  }
  const double to_top = (wanted - row.groups.best) / row.scale;
  TiltTarget t{to_top - row.centre, -to_top, -to_top < -row.centre / 2, true};
  if (!reward) t = kl_target(law, wanted);
  out.impossible = row.floor > 0.0 && t.low <= 0.0;
  out.saturated =
      !out.impossible && (t.high <= 0.0 || (!reward && wanted >= row.floor + row.kl_max));
  out.impossible = out.impossible || (reward && t.high < 0.0);
  if (out.saturated) out.beta = INFINITY;
  if (out.saturated || t.low <= 0.0) return out;
  TiltRoot root(t, row.spread, -row.centre);
  for (bool more = true;;) {
    const TiltPoint& at = law.at(root.beta, t.upper);
    if (!more) break;
    double change = 0.0;
    more = root.advance(t, at.kl, at.left, at.moved, at.mean, at.variance, change);
    if (more || fabs(change) > TiltRoot::kStep * root.beta) continue;
    law.settle(root.beta, change);
    break;
  }
  out.beta = root.beta / row.scale;
  out.iterations = root.iterations;
  return out;
}

}  // namespace aligndec::core
