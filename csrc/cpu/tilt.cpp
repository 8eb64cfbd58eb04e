// Tilted laws on the CPU: rows over threads, the law of a row in the cache of its core.
#include "launch/tilt.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "cpu/tilt_answer.h"

namespace aligndec::cpu {
namespace {

// Forking costs 5 to 20 us: a thread gets at least this many outcomes.
constexpr int64_t kOutcomesPerThread = 16384;

template <class T>
TiltInput<T> input_of(const TiltBatch& batch, int64_t row, double sign) {
  const auto* log_p = static_cast<const T*>(batch.log_p);
  return {log_p ? log_p + row * batch.log_p_stride : nullptr,
          static_cast<const T*>(batch.r) + row * batch.r_stride, batch.n, sign};
}

template <class F>
void for_rows(const TiltBatch& batch, F f) {
  const int64_t grain = std::max<int64_t>(1, kOutcomesPerThread / std::max<int64_t>(1, batch.n));
  at::parallel_for(0, batch.rows, grain, f);
}

template <class T>
void solve_rows(const TiltSolveArgs& args) {
  const TiltKernel<T> kernel = tilt_kernel<T>();
  const TiltBatch& batch = args.batch;
  for_rows(batch, [&](int64_t first, int64_t last) {
    const std::unique_ptr<double[]> p(new double[batch.n]);
    for (int64_t row = first; row < last; ++row) {
      // The side of the law in the workspace; 0: none yet.
      double side = 0.0;
      std::unique_ptr<TiltRowState<T>> state;
      const auto weigh = [&](double sign) {
        if (side == sign) return;
        side = sign;
        state = std::make_unique<TiltRowState<T>>(kernel, input_of<T>(batch, row, sign), p.get());
        state->weigh(state->span());
      };
      for (int64_t k = 0; k < args.count; ++k) {
        const int64_t i = row * args.count + k;
        const bool reward = args.kind == TiltKind::kReward;
        const double wanted = args.target[i];
        if (reward) {
          if (side == 0.0) weigh(1.0);
          const core::TiltRow& law = state->row();
          // Infinite rewards leave one side only. The mean is that of all outcomes.
          const bool up = law.best == INFINITY ? false
                          : side > 0           ? law.floor > 0 || law.constant ||
                                                     (wanted - law.best) / law.scale >= law.centre
                                               : law.floor == 0 && !law.constant &&
                                                     (-wanted - law.best) / law.scale < law.centre;
          weigh(up ? 1.0 : -1.0);
        } else {
          weigh(args.kind == TiltKind::kKlMax ? 1.0 : -1.0);
        }
        TiltAnswer out = solve_one(*state, reward ? side * wanted : wanted, reward);
        out.beta = out.beta * side + 0.0;
        out.write(args, i);
      }
    }
  });
}

// One beta for all rows, whose mean KL is the target.
template <class T>
void solve_shared(const TiltSolveArgs& args) {
  const TiltKernel<T> kernel = tilt_kernel<T>();
  const TiltBatch& batch = args.batch;
  const double sign = args.kind == TiltKind::kKlMax ? 1.0 : -1.0;
  const std::unique_ptr<double[]> p(new double[batch.rows * batch.n]);
  std::vector<TiltRowState<T>> rows;
  rows.reserve(batch.rows);
  for (int64_t i = 0; i < batch.rows; ++i) {
    rows.emplace_back(kernel, input_of<T>(batch, i, sign), p.get() + i * batch.n);
  }
  double span = 0.0;
  for (const auto& row : rows) span = std::max(span, row.span());
  for_rows(batch, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) rows[i].weigh(span);
  });
  // Means over the rows.
  const auto mean_of = [&](auto f) {
    double sum = 0.0;
    for (const auto& row : rows) sum += f(row.row());
    return sum / static_cast<double>(rows.size());
  };
  const double floor = mean_of([](const core::TiltRow& r) { return r.floor; });
  const double kl_max = mean_of([](const core::TiltRow& r) { return r.kl_max; });
  const double spread = mean_of([](const core::TiltRow& r) { return r.spread; });
  const double reach = -mean_of([](const core::TiltRow& r) { return r.centre; });
  bool constant = true;
  for (const auto& row : rows) constant = constant && row.row().constant;
  const double wanted = args.target[0];
  const core::TiltTarget t = kl_target(wanted, floor, kl_max, [&] {
    long double least = 0, most = 0;
    for (const auto& row : rows) {
      if (row.row().constant) continue;
      const TiltSlow<T> slow = row.slow();
      least += slow.floor() / rows.size();
      most += (slow.floor() + slow.kl_max()) / rows.size();
    }
    return std::pair(least, most);
  });
  TiltAnswer common = judge(t, wanted, floor, kl_max, constant, true);
  std::vector<core::TiltPoint> at(rows.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    const core::TiltRow& row = rows[i].row();
    at[i].kl = common.saturated ? row.kl_max : 0.0;
    at[i].mean = common.saturated || row.constant ? 0.0 : row.centre;
  }
  double beta = common.saturated ? INFINITY : 0.0;
  if (!common.constant && !common.saturated && t.low > 0) {
    core::TiltRoot root(t, spread, reach);
    const bool upper = t.upper_half();
    bool more = true;
    while (true) {
      for_rows(batch, [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) {
          if (rows[i].row().constant) continue;
          at[i] = upper ? rows[i].far(root.beta) : rows[i].near(root.beta);
        }
      });
      if (!more) break;
      double kl = 0, left = 0, variance = 0, change = 0;
      for (const core::TiltPoint& point : at) {
        kl += point.kl;
        left += point.left;
        variance += point.variance;
      }
      const auto size = static_cast<double>(rows.size());
      more = root.advance(t, kl / size, left / size, 0.0, 0.0, variance / size, change);
    }
    beta = root.beta / (span > 0 ? span : 1.0);
    common.iterations = root.iterations;
  }
  for (size_t i = 0; i < rows.size(); ++i) {
    const core::TiltRow& row = rows[i].row();
    common.beta = beta * sign + 0.0;
    common.kl = row.floor + at[i].kl;
    common.most = row.floor + row.kl_max;
    common.reward = rows[i].reward(at[i].mean);
    common.write(args, static_cast<int64_t>(i));
  }
}

// The numbers of the law at one beta: log_z, reward, variance, KL, reverse KL.
template <class T>
void stats_at(TiltRowState<T>& state, double beta, double sign, double (&out)[5]) {
  const core::TiltRow& row = state.row();
  const double size = std::fabs(beta), edge = sign * row.best;
  const double full = row.floor + row.kl_max;
  if (row.constant || std::isinf(beta)) {
    const double reward = edge;
    const double log_z = std::isinf(beta)
                             ? (reward == 0 ? -full : beta * std::copysign(1.0, reward))
                             : beta * reward;
    const bool moved = full > 0;
    const double numbers[] = {log_z, reward, 0.0, full, moved ? INFINITY : 0.0};
    std::copy(numbers, numbers + 5, out);
    return;
  }
  const double scaled = size * row.scale;
  const core::TiltPoint at = state.near(scaled);
  const TiltDetail more = state.detail(at, scaled);
  const double plain = at.log_norm - scaled * row.centre;
  const bool bounded = -scaled * row.centre <= 30.0;
  const double reverse = bounded ? std::log1p(more.excess) - scaled * more.drift : plain;
  const double numbers[] = {beta * edge + at.log_norm - row.floor, state.reward(at.mean),
                            more.square * row.scale * row.scale, row.floor + at.kl,
                            row.floor > 0 ? INFINITY : std::fmax(reverse, 0.0)};
  std::copy(numbers, numbers + 5, out);
}

template <class T>
void stats_rows(const TiltStatsArgs& args) {
  const TiltKernel<T> kernel = tilt_kernel<T>();
  const TiltBatch& batch = args.batch;
  const int64_t size = batch.rows * args.count;
  for_rows(batch, [&](int64_t first, int64_t last) {
    const std::unique_ptr<double[]> p(new double[batch.n]);
    for (int64_t row = first; row < last; ++row) {
      double side = 0.0;
      std::unique_ptr<TiltRowState<T>> state;
      for (int64_t k = 0; k < args.count; ++k) {
        const int64_t i = row * args.count + k;
        const double beta = args.beta[i];
        // At 0 the side of the infinite rewards, if there are any.
        double sign = beta < 0 ? -1.0 : 1.0;
        for (int turn = 0; turn < 2; ++turn) {
          if (side != sign) {
            side = sign;
            state =
                std::make_unique<TiltRowState<T>>(kernel, input_of<T>(batch, row, sign), p.get());
            state->weigh(state->span());
          }
          if (beta != 0 || state->row().best != INFINITY) break;
          sign = -sign;
        }
        double out[5];
        stats_at(*state, beta, sign, out);
        if (beta == 0) {
          const bool unbounded = state->row().floor > 0 || std::isinf(state->row().best);
          const double reward = unbounded ? -sign * INFINITY : out[1];
          const double numbers[] = {0.0, reward, unbounded ? INFINITY : out[2], 0.0, 0.0};
          std::copy(numbers, numbers + 5, out);
        }
        for (int field = 0; field < 5; ++field) args.out[field * size + i] = out[field];
      }
    }
  });
}

}  // namespace

void launch_tilt_stats(const TiltStatsArgs& args) {
  (args.batch.is_double ? stats_rows<double> : stats_rows<float>)(args);
}

void launch_tilt_solve(const TiltSolveArgs& args) {
  if (args.shared) {
    (args.batch.is_double ? solve_shared<double> : solve_shared<float>)(args);
  } else {
    (args.batch.is_double ? solve_rows<double> : solve_rows<float>)(args);
  }
}

}  // namespace aligndec::cpu
