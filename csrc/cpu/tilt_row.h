// The loops over a row of a tilting problem on the CPU: vectors while masses are float64 numbers,
// else one outcome at a time in logarithms.
#pragma once

#include <cmath>

#include "core/tilt/state.h"
#include "cpu/isa.h"

namespace aligndec::cpu {

template <class T>
class TiltSums {
 public:
  // `p` [n] is the workspace of this row.
  TiltSums(const TiltKernel<T>& kernel, const TiltInput<T>& input, double* p)
      : kernel_(&kernel), law_{input, p, 1, 0, 1} {}

  core::TiltGroups groups(double sign);
  core::TiltMasses masses(const core::TiltRow& row);
  core::WideMasses wide(const core::TiltRow& row) const {
    return kernel_->wide(law_.input, row.groups);
  }
  core::NearSums near(const core::TiltRow& row, double beta, double shift) const {
    if (!row.deep) return kernel_->near(law_, beta, shift, row.centre);
    return slow<core::NearSums>(
        row, [&](auto& sums, double a, double g) { core::count(sums, row, beta, shift, a, g); });
  }
  core::FarSums far(const core::TiltRow& row, double beta, double shift) const;
  core::TiltDetail detail(const core::TiltRow& row, double beta, double shift, double mean) const {
    if (!row.deep) return kernel_->detail(law_, beta, shift, row.centre, mean);
    return slow<core::TiltDetail>(row, [&](auto& sums, double a, double g) {
      core::count(sums, row, beta, shift, mean, a, g);
    });
  }
  double log_norm(const core::TiltRow& row, double beta) const;

 private:
  // f(ln p, reward) for each outcome that exists.
  template <class F>
  void each(F f) const {
    const TiltInput<T>& in = law_.input;
    for (int64_t i = 0; i < in.n; ++i) {
      const double a = in.log_p ? static_cast<double>(in.log_p[i]) : 0.0;
      if (a > -INFINITY) f(a, in.sign * static_cast<double>(in.r[i]));
    }
  }
  // Sums by f(sums, ln p, g) over the live outcomes.
  template <class Sums, class F>
  Sums slow(const core::TiltRow& row, F f) const {
    Sums sums;
    each([&](double a, double y) {
      if (y > -INFINITY) f(sums, core::live_log_law(row, a), core::gap(row, y));
    });
    return sums;
  }

  const TiltKernel<T>* kernel_;
  TiltLaw<T> law_;
};

template <class T>
core::TiltGroups TiltSums<T>::groups(double sign) {
  law_.input.sign = sign;
  const TiltRange range = kernel_->range(law_.input);
  // Masses relative to the largest of all will do.
  core::TiltGroups out{range.best, range.worst, range.most, range.most, range.most, range.least};
  if (!out.deep()) return out;
  out = {};
  each([&](double a, double y) { out.count(a, y); });
  return out;
}

template <class T>
core::TiltMasses TiltSums<T>::masses(const core::TiltRow& row) {
  core::TiltMasses out;
  if (row.groups.deep()) {
    each([&](double a, double y) { out.count(row.groups, a, y, core::gap(row, y)); });
    return out;
  }
  law_.best = row.groups.best;
  law_.per_scale = row.per_scale;
  out = kernel_->weigh(law_, row.groups.most());
  law_.norm = 1.0 / (out.top + out.rest);
  return out;
}

template <class T>
core::FarSums TiltSums<T>::far(const core::TiltRow& row, double beta, double shift) const {
  if (row.deep) {
    return slow<core::FarSums>(
        row, [&](auto& sums, double a, double g) { core::count(sums, row, beta, shift, a, g); });
  }
  const core::FarSums s = kernel_->far(law_, beta);
  const double per_top = std::exp(row.kl_max);
  return {s.rest * per_top, s.first * per_top, s.second * per_top};
}

template <class T>
double TiltSums<T>::log_norm(const core::TiltRow& row, double beta) const {
  return slow<core::TiltLogSum>(row,
                                [&](auto& sum, double a, double g) { sum.count(a + beta * g); })
      .value();
}

}  // namespace aligndec::cpu
