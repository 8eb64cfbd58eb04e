// What a target means for a row, and the answer for one.
#pragma once

#include <cmath>
#include <utility>

#include "cpu/tilt_row.h"
#include "launch/tilt.h"

namespace aligndec::cpu {

// A target this close (relatively) to an end of its range needs more than float64 knows about it.
constexpr double kClose = 1e-4;
struct TiltAnswer {
  double beta, kl, most, reward;
  bool saturated, constant, impossible;
  int64_t iterations;

  void write(const TiltSolveArgs& args, int64_t i) const {
    const int64_t size = args.batch.rows * args.count;
    const double values[] = {beta, kl, most, reward};
    const int64_t flags[] = {saturated, constant, impossible, iterations};
    for (int k = 0; k < 4; ++k) {
      args.values[k * size + i] = values[k];
      args.flags[k * size + i] = flags[k];
    }
  }
};

// The distances of a KL from the ends of its range; `ends` gives both in long double.
template <class Ends>
core::TiltTarget kl_target(double kl, double floor, double kl_max, Ends ends) {
  const double limit = floor + kl_max;
  core::TiltTarget t{kl - floor, limit - kl, kl_max, false};
  const bool near_end = t.high > 0 && t.high < kClose * limit && kl_max > 0;
  if (near_end || (t.low > 0 && t.low < kClose * kl && floor > 0)) {
    const auto [least, most] = ends();
    t.low = static_cast<double>(kl - least);
    t.high = static_cast<double>(most - kl);
  }
  return t;
}

// What needs no root: the ends of the range, and rows with nothing to choose.
inline TiltAnswer judge(const core::TiltTarget& t, double wanted, double floor, double kl_max,
                        bool constant, bool equal) {
  TiltAnswer out{};
  out.constant = constant;
  if (constant) {
    out.impossible = t.reward && !equal;
    return out;
  }
  out.impossible = floor > 0 && t.low <= 0;
  out.saturated = !out.impossible && (t.high <= 0 || (!t.reward && wanted >= floor + kl_max));
  if (t.reward && t.high < 0) out.impossible = true;
  return out;
}

template <class T>
TiltAnswer solve_one(TiltRowState<T>& state, double wanted, bool reward) {
  const core::TiltRow& row = state.row();
  core::TiltTarget t{};
  if (row.constant) {
    t.reward = reward;
  } else if (reward) {
    const double to_top = (wanted - row.best) / row.scale;
    t = {to_top - row.centre, -to_top, -row.centre, true};
  } else {
    t = kl_target(wanted, row.floor, row.kl_max, [&] {
      const TiltSlow<T> slow = state.slow();
      return std::pair(slow.floor(), slow.floor() + slow.kl_max());
    });
  }
  TiltAnswer out = judge(t, wanted, row.floor, row.kl_max, row.constant, wanted == row.best);
  out.most = row.floor + row.kl_max;
  out.kl = row.floor;
  double mean = row.constant ? 0.0 : row.centre;
  if (out.saturated) {
    out.beta = INFINITY;
    out.kl = out.most;
    mean = 0.0;
  } else if (!out.constant && t.low > 0) {
    core::TiltRoot root(t, row.spread, -row.centre);
    const bool upper = t.upper_half();
    core::TiltPoint at{};
    double change = 0.0;
    do {
      at = upper ? state.far(root.beta) : state.near(root.beta);
    } while (root.advance(t, at.kl, at.left, at.moved, at.mean, at.variance, change));
    if (std::fabs(change) <= core::TiltRoot::kStep * root.beta) {
      // So small a step that its first order is exact.
      at.kl += root.beta * at.variance * change;
      at.mean += at.variance * change;
    } else {
      at = upper ? state.far(root.beta) : state.near(root.beta);
    }
    out.beta = root.beta / row.scale;
    out.kl = row.floor + at.kl;
    out.iterations = root.iterations;
    mean = at.mean;
  }
  out.reward = std::isfinite(row.best) ? state.reward(mean) : state.reward(0.0);
  return out;
}

}  // namespace aligndec::cpu
