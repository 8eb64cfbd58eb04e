// One row of a tilting problem on the CPU: its law, its numbers at any beta, its root.
#pragma once

#include <cmath>

#include "cpu/isa.h"
#include "cpu/tilt_slow.h"

namespace aligndec::cpu {

// ln p this far below its largest value is out of reach of float64 masses.
constexpr double kTiltDeep = -650.0;

template <class T>
class TiltRowState {
 public:
  // `p` [n] is the workspace of this row. The scale of the gaps is that of the row, or `scale`.
  TiltRowState(const TiltKernel<T>& kernel, const TiltInput<T>& input, double* p)
      : kernel_(&kernel), law_{input, p, 1, 0, 1}, range_(kernel.range(input)) {}
  // The span of the rewards.
  double span() const { return range_.worst <= range_.best ? range_.best - range_.worst : 0.0; }
  void weigh(double scale);

  const core::TiltRow& row() const { return row_; }
  double reward(double mean) const { return law_.input.sign * (row_.best + row_.scale * mean); }
  // Near beta = 0, the shift guessed from the last point.
  core::TiltPoint near(double beta);
  core::TiltPoint far(double beta) const;
  TiltDetail detail(const core::TiltPoint& at, double beta) const;
  TiltSlow<T> slow() const { return {law_.input, row_.best, row_.scale}; }

 private:
  const TiltKernel<T>* kernel_;
  TiltLaw<T> law_;
  TiltRange range_;
  core::TiltRow row_{};
  TiltSlow<T> slow_;
  bool deep_ = false;
  core::TiltPoint last_{};
  double last_beta_ = 0.0;
};

template <class T>
void TiltRowState<T>::weigh(double scale) {
  const bool none = !(range_.best > -INFINITY);  // nothing but -inf: nothing to choose
  row_.best = range_.best;
  row_.scale = scale > 0 ? scale : 1.0;
  row_.constant = none;
  if (none) return;
  law_.best = row_.best;
  law_.per_scale = 1.0 / row_.scale;
  const TiltMasses m = kernel_->weigh(law_, range_.most);
  const double live = m.top + m.rest;
  law_.norm = 1.0 / live;
  row_.floor = std::log1p(m.dead / live);
  row_.kl_max = std::log1p(m.rest / m.top);
  row_.log_top = -row_.kl_max;
  row_.centre = m.first / live;
  row_.spread = m.second / live - row_.centre * row_.centre;
  deep_ = range_.least - range_.most < kTiltDeep;
  if (deep_) {
    slow_ = slow();
    row_.floor = static_cast<double>(slow_.floor());
    row_.kl_max = static_cast<double>(slow_.kl_max());
    row_.log_top = -row_.kl_max;
    long double first = 0;
    slow_.each([&](long double a, long double g) { first += std::exp(a) * g; });
    row_.centre = static_cast<double>(first);
  }
  if (deep_ || row_.spread < 1e-6) {  // the difference above has lost its digits
    const core::NearSums s =
        deep_ ? slow_.near(0, 0, row_.centre) : kernel_->near(law_, 0, 0, row_.centre);
    row_.spread = s.square;
  }
  row_.constant = row_.kl_max == 0.0 && row_.floor == 0.0;
  last_ = {0, row_.kl_max, row_.centre, 0, row_.spread, 0};
}

template <class T>
core::TiltPoint TiltRowState<T>::near(double beta) {
  const double step = beta - last_beta_;
  double shift = last_.log_norm + step * (last_.mean + 0.5 * step * last_.variance);
  core::TiltPoint out{};
  if (deep_) {
    shift = slow_.log_norm(beta);
    core::near_point(slow_.near(beta, shift, row_.centre), shift, row_, out);
    return out;
  }
  for (int turn = 0; turn < 4; ++turn) {
    shift = std::fmin(std::fmax(shift, row_.log_top), 0.0);
    const core::NearSums s = kernel_->near(law_, beta, shift, row_.centre);
    if (core::near_point(s, shift, row_, out)) break;
    shift = out.log_norm;
  }
  last_ = out;
  last_beta_ = beta;
  return out;
}

template <class T>
core::TiltPoint TiltRowState<T>::far(double beta) const {
  core::FarSums s;
  if (deep_) {
    s = slow_.far(beta);
  } else {
    s = kernel_->far(law_, beta);
    const double per_top = std::exp(-row_.log_top);
    s = {s.rest * per_top, s.first * per_top, s.second * per_top};
  }
  core::TiltPoint out{};
  core::far_point(s, beta, row_, out);
  return out;
}

template <class T>
TiltDetail TiltRowState<T>::detail(const core::TiltPoint& at, double beta) const {
  return deep_ ? slow_.detail(beta, at.log_norm, row_.centre, at.mean)
               : kernel_->detail(law_, beta, at.log_norm, row_.centre, at.mean);
}

}  // namespace aligndec::cpu
