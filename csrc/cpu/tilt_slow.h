// The sums of a tilted row in long double.
#pragma once

#include <cmath>
#include <limits>

#include "cpu/tilt_types.h"

namespace aligndec::cpu {

// The same sums in long double, one outcome at a time: for laws whose masses a float64 cannot hold,
// and for targets that need more digits than it has.
template <class T>
class TiltSlow {
 public:
  using Wide = long double;
  TiltSlow() = default;
  TiltSlow(const TiltInput<T>& input, double best, double scale)
      : in_(input), best_(best), scale_(scale) {
    Wide most = -std::numeric_limits<Wide>::infinity();
    for (int64_t i = 0; i < in_.n; ++i) most = std::fmax(most, log_law(i));
    for (int64_t i = 0; i < in_.n; ++i) {
      const Wide w = std::exp(log_law(i) - most);
      (!(reward(i) > -INFINITY) ? dead_ : reward(i) == best_ ? top_ : rest_) += w;
    }
    log_live_ = most + std::log(top_ + rest_);
  }
  Wide floor() const { return std::log1p(dead_ / (top_ + rest_)); }
  Wide kl_max() const { return std::log1p(rest_ / top_); }

  // f(i, ln p, g) for each outcome that counts.
  template <class F>
  void each(F f) const {
    for (int64_t i = 0; i < in_.n; ++i) {
      const Wide a = log_law(i) - log_live_;
      if (a > -INFINITY && reward(i) > -INFINITY) f(a, (Wide{reward(i)} - best_) / scale_);
    }
  }
  // ln sum p e^(beta g): no guess is good enough where it spans thousands of nats.
  double log_norm(double beta) const {
    Wide sum = 0;
    each([&](Wide a, Wide g) { sum += std::exp(a + beta * g); });
    return static_cast<double>(std::log(sum));
  }
  core::NearSums near(double beta, double shift, double centre) const;
  core::FarSums far(double beta) const;
  TiltDetail detail(double beta, double shift, double centre, double mean) const;

 private:
  Wide log_law(int64_t i) const { return in_.log_p ? Wide{in_.log_p[i]} : Wide{0}; }
  double reward(int64_t i) const { return in_.sign * static_cast<double>(in_.r[i]); }
  TiltInput<T> in_{};
  double best_ = 0, scale_ = 1;
  Wide top_ = 0, rest_ = 0, dead_ = 0, log_live_ = 0;
};

template <class T>
core::NearSums TiltSlow<T>::near(double beta, double shift, double centre) const {
  Wide eta = 0, h = 0, d = 0, square = 0;
  each([&](Wide a, Wide g) {
    const Wide x = beta * g - shift, p = std::exp(a), q = std::exp(a + x), away = g - centre;
    const Wide change = std::fabs(x) < 0.5L ? p * std::expm1(x) : q - p;
    eta += change;
    if (std::fabs(x) < 1e-3L) {
      h += p * x * x * (0.5L + x * (1 / 3.0L + x * (1 / 8.0L + x * (1 / 30.0L + x / 144.0L))));
    } else {
      h += q * (x - 1) + p;
    }
    d += change * away;
    square += q * away * away;
  });
  return {static_cast<double>(eta), static_cast<double>(h), static_cast<double>(d),
          static_cast<double>(square)};
}

template <class T>
core::FarSums TiltSlow<T>::far(double beta) const {
  Wide rest = 0, first = 0, second = 0;
  const Wide log_top = std::log(top_ / (top_ + rest_));
  each([&](Wide a, Wide g) {
    if (g == 0) return;
    // A ratio beyond float64 says no more than that the top is far away.
    const Wide w = std::exp(std::fmin(a + beta * g - log_top, Wide{600}));
    rest += w;
    first += w * g;
    second += w * g * g;
  });
  return {static_cast<double>(rest), static_cast<double>(first), static_cast<double>(second)};
}

template <class T>
TiltDetail TiltSlow<T>::detail(double beta, double shift, double centre, double mean) const {
  Wide square = 0, excess = 0, drift = 0;
  each([&](Wide a, Wide g) {
    const Wide p = std::exp(a), y = beta * (g - centre);
    square += std::exp(a + beta * g - shift) * (g - mean) * (g - mean);
    excess += p * (std::expm1(y) - y);
    drift += p * (g - centre);
  });
  return {static_cast<double>(square), static_cast<double>(excess), static_cast<double>(drift)};
}

}  // namespace aligndec::cpu
