// The answers for one row, the same on every device. `writes` is false on threads that only help.
#pragma once

#include "core/tilt/search.h"
#include "launch/tilt.h"

namespace aligndec {

// `found` for target i, at the point of `state`.
template <class State>
ALIGNDEC_D void write_tilt(const TiltSolveArgs& args, int64_t i, const core::TiltFound& found,
                           const State& state) {
  const core::TiltRow& row = state.row();
  const double most = row.floor + row.kl_max;
  double kl = row.floor, mean = row.constant || found.saturated ? 0.0 : row.centre;
  if (found.saturated) kl = most;
  if (found.iterations > 0) {
    kl += state.point().kl;
    mean = state.point().mean;
  }
  const int64_t size = args.batch.rows * args.count;
  args.values[i] = found.beta * row.sign + 0.0;
  args.values[size + i] = kl;
  args.values[2 * size + i] = most;
  args.values[3 * size + i] = state.reward(fabs(row.groups.best) < INFINITY ? mean : 0.0);
  args.flags[i] = found.saturated;
  args.flags[size + i] = found.constant;
  args.flags[2 * size + i] = found.impossible;
  args.flags[3 * size + i] = found.iterations;
}

// The side on which a mean reward lies, when the row is tilted to `row.sign`. Infinite rewards
// leave one side only; the mean is that of all outcomes.
ALIGNDEC_HD double side_of(const core::TiltRow& row, double wanted) {
  if (row.groups.best == INFINITY) return -1.0;
  const double from_best = (row.sign * wanted - row.groups.best) / row.scale;
  const bool above = from_best >= row.centre, must = row.floor > 0.0 || row.constant;
  return row.sign > 0.0 ? (must || above ? 1.0 : -1.0) : (must || above ? -1.0 : 1.0);
}

// The targets of one row.
template <class State>
ALIGNDEC_D void solve_tilts(const TiltSolveArgs& args, int64_t row, State& state, bool writes) {
  const bool reward = args.kind == TiltKind::kReward;
  for (int64_t k = 0; k < args.count; ++k) {
    const int64_t i = row * args.count + k;
    const double wanted = args.target[i];
    double sign = args.kind == TiltKind::kKlMin ? -1.0 : 1.0;
    if (reward && k > 0) sign = state.row().sign;
    for (int turn = 0; turn < (reward ? 2 : 1); ++turn) {
      state.turn(sign);
      sign = side_of(state.row(), wanted);
    }
    const core::TiltFound found =
        core::find_tilt(state, reward ? state.row().sign * wanted : wanted, reward);
    if (writes) write_tilt(args, i, found, state);
  }
}

struct TiltNumbers {
  double log_z, reward, variance, kl, reverse_kl;
};

// The numbers of the law at one beta, tilted to `row.sign`.
template <class State>
ALIGNDEC_D TiltNumbers tilt_numbers(State& state, double beta) {
  const core::TiltRow& row = state.row();
  const double edge = row.sign * row.groups.best, full = row.floor + row.kl_max;
  const bool infinite = fabs(beta) == INFINITY;
  if (row.constant || infinite) {
    const double log_z = !infinite ? beta * edge : edge == 0.0 ? -full : beta * copysign(1.0, edge);
    return {log_z, edge, 0.0, full, full > 0.0 ? INFINITY : 0.0};
  }
  const double scaled = fabs(beta) * row.scale;
  const core::TiltPoint& at = state.at(scaled, false);
  const core::TiltDetail more = state.detail(scaled);
  // KL(p || phi) by terms >= 0 unless it is large anyway.
  const bool bounded = -scaled * row.centre <= 30.0;
  const double reverse =
      bounded ? log1p(more.excess) - scaled * more.drift : at.log_norm - scaled * row.centre;
  return {beta * edge + at.log_norm - row.floor, state.reward(at.mean),
          more.square * row.scale * row.scale, row.floor + at.kl,
          row.floor > 0.0 ? INFINITY : fmax(reverse, 0.0)};
}

// The tilts of one row.
template <class State>
ALIGNDEC_D void measure_tilts(const TiltStatsArgs& args, int64_t row, State& state, bool writes) {
  const int64_t size = args.batch.rows * args.count;
  for (int64_t k = 0; k < args.count; ++k) {
    const int64_t i = row * args.count + k;
    const double beta = args.beta[i];
    double sign = beta < 0.0 ? -1.0 : 1.0;
    for (int turn = 0; turn < 2; ++turn) {  // at 0 the side of the infinite rewards, if any
      state.turn(sign);
      if (beta != 0.0 || state.row().groups.best != INFINITY) break;
      sign = -sign;
    }
    TiltNumbers out = tilt_numbers(state, beta);
    if (beta == 0.0) {
      const bool unbounded = state.row().floor > 0.0 || fabs(state.row().groups.best) == INFINITY;
      if (unbounded) out.reward = -state.row().sign * INFINITY;
      out = {0.0, out.reward, unbounded ? INFINITY : out.variance, 0.0, 0.0};
    }
    if (!writes) continue;
    args.out[i] = out.log_z;
    args.out[size + i] = out.reward;
    args.out[2 * size + i] = out.variance;
    args.out[3 * size + i] = out.kl;
    args.out[4 * size + i] = out.reverse_kl;
  }
}

}  // namespace aligndec
