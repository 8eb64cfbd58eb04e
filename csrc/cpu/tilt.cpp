// Tilted laws on the CPU: rows over threads, the law of a row in the cache of its core.
#include "launch/tilt.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "core/tilt/means.h"
#include "core/tilt/search.h"
#include "cpu/tilt_row.h"
#include "launch/tilt_entry.h"
#include "parallel.h"

namespace aligndec::cpu {
namespace {

// Forking costs 5 to 20 us: a thread gets at least this many outcomes.
constexpr int64_t kOutcomesPerThread = 16384;

template <class T>
using State = core::TiltState<TiltSums<T>>;

template <class T>
State<T> state_of(const TiltKernel<T>& kernel, const TiltBatch& batch, int64_t row, double* p) {
  const auto* log_p = static_cast<const T*>(batch.log_p);
  const TiltInput<T> input{log_p ? log_p + row * batch.log_p_stride : nullptr,
                           static_cast<const T*>(batch.r) + row * batch.r_stride, batch.n, 1.0};
  return State<T>(TiltSums<T>(kernel, input, p));
}

// Calls f(first, last) on each thread's share of the rows.
template <class F>
void for_rows(const TiltBatch& batch, F f) {
  const int64_t grain = std::max<int64_t>(1, kOutcomesPerThread / std::max<int64_t>(1, batch.n));
  parallel_for(0, batch.rows, grain, f);
}

// Calls f(row, state) for each row.
template <class T, class F>
void for_states(const TiltBatch& batch, F f) {
  const TiltKernel<T> kernel = tilt_kernel<T>();
  for_rows(batch, [&](int64_t first, int64_t last) {
    const std::unique_ptr<double[]> p(new double[batch.n]);
    for (int64_t row = first; row < last; ++row) {
      State<T> state = state_of<T>(kernel, batch, row, p.get());
      f(row, state);
    }
  });
}

// The rows of a batch under one beta, as a law: its numbers are the means of theirs.
template <class T>
class Together {
 public:
  Together(const TiltBatch& batch, double sign)
      : batch_(batch), kernel_(tilt_kernel<T>()), p_(new double[batch.rows * batch.n]) {
    states_.reserve(batch.rows);
    double span = 0.0;
    for (int64_t i = 0; i < batch.rows; ++i) {
      states_.push_back(state_of<T>(kernel_, batch, i, p_.get() + i * batch.n));
      states_[i].scan(sign);
      span = std::max(span, states_[i].span());
    }
    each([&](State<T>& state) { state.weigh(span); });
    core::TiltMeans means;
    for (const auto& state : states_) means.count(state.row());
    row_ = means.row(batch.rows, span);
  }

  const core::TiltRow& row() const { return row_; }
  const State<T>& state(int64_t i) const { return states_[i]; }
  const core::TiltPoint& at(double beta, bool upper) {
    each([&](State<T>& state) { state.at(beta, upper); });
    core::TiltPointMeans means;
    for (const auto& state : states_) means.count(state.point());
    return point_ = means.point(batch_.rows);
  }
  void settle(double beta, double change) {
    for (auto& state : states_) state.settle(beta, change);
  }
  core::TiltEnds ends() const {
    core::TiltEndMeans means;
    for (const auto& state : states_) means.count(state.ends());
    return means.ends(batch_.rows);
  }

 private:
  template <class F>
  void each(F f) {
    for_rows(batch_, [&](int64_t first, int64_t last) {
      for (int64_t i = first; i < last; ++i) f(states_[i]);
    });
  }

  const TiltBatch& batch_;
  const TiltKernel<T> kernel_;
  const std::unique_ptr<double[]> p_;
  std::vector<State<T>> states_;
  core::TiltRow row_{};
  core::TiltPoint point_{};
};

// One beta for all rows, whose mean KL is the target.
template <class T>
void solve_together(const TiltSolveArgs& args) {
  Together<T> rows(args.batch, args.kind == TiltKind::kKlMax ? 1.0 : -1.0);
  const core::TiltFound found = core::find_tilt(rows, args.target[0], false);
  for (int64_t i = 0; i < args.batch.rows; ++i) write_tilt(args, i, found, rows.state(i));
}

template <class T>
void solve(const TiltSolveArgs& args) {
  if (args.shared) return solve_together<T>(args);
  for_states<T>(args.batch,
                [&](int64_t row, State<T>& state) { solve_tilts(args, row, state, true); });
}

template <class T>
void measure(const TiltStatsArgs& args) {
  for_states<T>(args.batch,
                [&](int64_t row, State<T>& state) { measure_tilts(args, row, state, true); });
}

}  // namespace

void launch_tilt_stats(const TiltStatsArgs& args) {
  (args.batch.is_double ? measure<double> : measure<float>)(args);
}

void launch_tilt_solve(const TiltSolveArgs& args) {
  (args.batch.is_double ? solve<double> : solve<float>)(args);
}

}  // namespace aligndec::cpu
