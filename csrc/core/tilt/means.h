// Rows that share one beta are a law, too: its numbers are the means of theirs. Sums over the rows,
// combined by add().
#pragma once

#include "core/tilt/state.h"

namespace aligndec::core {

struct TiltMeans {
  double floor = 0.0, kl_max = 0.0, centre = 0.0, spread = 0.0;
  int64_t others = 0;  // rows that are not constant

  ALIGNDEC_HD void count(const TiltRow& row) {
    add({row.floor, row.kl_max, row.centre, row.spread, !row.constant});
  }
  ALIGNDEC_HD void add(const TiltMeans& o) {
    floor += o.floor;
    kl_max += o.kl_max;
    centre += o.centre;
    spread += o.spread;
    others += o.others;
  }
  ALIGNDEC_HD TiltRow row(int64_t rows, double span) const {
    const auto n = static_cast<double>(rows);
    TiltRow out{};
    out.scale = span > 0.0 ? span : 1.0;
    out.floor = floor / n;
    out.kl_max = kl_max / n;
    out.centre = centre / n;
    out.spread = spread / n;
    out.constant = others == 0;
    return out;
  }
};

struct TiltPointMeans {
  double kl = 0.0, left = 0.0, variance = 0.0;

  ALIGNDEC_HD void count(const TiltPoint& p) { add({p.kl, p.left, p.variance}); }
  ALIGNDEC_HD void add(const TiltPointMeans& o) {
    kl += o.kl;
    left += o.left;
    variance += o.variance;
  }
  ALIGNDEC_HD TiltPoint point(int64_t rows) const {
    const auto n = static_cast<double>(rows);
    return {kl / n, left / n, 0.0, 0.0, variance / n, 0.0};
  }
};

struct TiltEndMeans {
  TiltEnds sum;

  ALIGNDEC_HD void count(const TiltEnds& ends) { add({ends}); }
  ALIGNDEC_HD void add(const TiltEndMeans& o) {
    sum.least = sum.least + o.sum.least;
    sum.most = sum.most + o.sum.most;
  }
  ALIGNDEC_HD TiltEnds ends(int64_t rows) const {
    const DoubleDouble n{static_cast<double>(rows)};
    return {sum.least / n, sum.most / n};
  }
};

}  // namespace aligndec::core
