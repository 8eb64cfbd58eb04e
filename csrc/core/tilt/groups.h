// What is asked of a row before it is tilted: the groups of its outcomes, and their masses. a is an
// outcome's ln p as it was given, y its reward. Parts of a row are combined by add(); a default
// value adds nothing.
#pragma once

#include "core/double_double.h"
#include "core/tilt/exp.h"

namespace aligndec::core {

// The best and the worst reward > -inf, the largest ln p at the best one, below it, and of what is
// dead (r = -inf); the least ln p of all.
struct TiltGroups {
  double best = -INFINITY, worst = INFINITY;
  double top = -INFINITY, rest = -INFINITY, dead = -INFINITY, least = INFINITY;

  ALIGNDEC_HD double live() const { return fmax(top, rest); }
  ALIGNDEC_HD double most() const { return fmax(live(), dead); }
  // ln p this far below its largest value is out of reach of float64 masses.
  ALIGNDEC_HD bool deep() const { return least - most() < -650.0; }
  ALIGNDEC_HD double span() const { return worst <= best ? best - worst : 0.0; }
  // The largest ln p in the group of a reward.
  ALIGNDEC_HD double most_with(double y) const {
    return !(y > -INFINITY) ? dead : y == best ? top : rest;
  }
  ALIGNDEC_HD void count(double a, double y) {
    if (y > -INFINITY) {
      add({y, y, a, -INFINITY, -INFINITY, a});
    } else {
      dead = fmax(dead, a);
      least = fmin(least, a);
    }
  }
  ALIGNDEC_HD void add(const TiltGroups& o) {
    const bool beaten = best < o.best;
    const bool beats = best > o.best;
    rest = fmax(fmax(rest, o.rest), beaten ? top : beats ? o.top : -INFINITY);
    top = beaten ? o.top : beats ? top : fmax(top, o.top);
    best = fmax(best, o.best);
    worst = fmin(worst, o.worst);
    dead = fmax(dead, o.dead);
    least = fmin(least, o.least);
  }
};

// Masses by group, each relative to the largest of its group.
template <class Number>
struct GroupSums {
  Number top{}, rest{}, dead{};

  ALIGNDEC_HD void count(const TiltGroups& of, double y, const Number& w) {
    if (!(y > -INFINITY)) {
      dead = dead + w;
    } else if (y == of.best) {
      top = top + w;
    } else {
      rest = rest + w;
    }
  }
  ALIGNDEC_HD void add(const GroupSums& o) {
    top = top + o.top;
    rest = rest + o.rest;
    dead = dead + o.dead;
  }
};

struct WideMasses : GroupSums<DoubleDouble> {
  ALIGNDEC_HD static DoubleDouble mass(const TiltGroups& of, double a, double y) {
    return wide_exp(two_sum(a, -of.most_with(y)));
  }
};

// With the moments of g, relative to the largest mass of the rest.
struct TiltMasses : GroupSums<double> {
  double first = 0.0, second = 0.0;

  ALIGNDEC_HD void count(const TiltGroups& of, double a, double y, double g) {
    const double w = tilt_exp(a - of.most_with(y));
    GroupSums::count(of, y, w);
    if (!(y > -INFINITY)) return;
    first += w * g;
    second += w * g * g;
  }
  ALIGNDEC_HD void add(const TiltMasses& o) {
    GroupSums::add(o);
    first += o.first;
    second += o.second;
  }
};

}  // namespace aligndec::core
