// Numbers as sums hi + lo of two float64, |lo| <= ulp(hi) / 2: for the few quantities of which one
// float64 is not enough. No long double, which devices lack and some hosts do not have either.
//
// Sums and products are error-free transformations (Dekker 1971; Knuth, The Art of Computer
// Programming 2, 4.2.2) whose parts are added up, 2^-100 relative; e^x, e^x - 1 and ln(1 + x) are
// within 2^-70 relative (tests/test_double_double.py). Finite numbers only.
#pragma once

#include <cmath>

#include "core/hd.h"
#include "core/log.h"

namespace aligndec::core {

struct DoubleDouble {
  double hi = 0.0, lo = 0.0;
};

// a + b for |a| >= |b|, or a = 0.
ALIGNDEC_HD DoubleDouble quick_sum(double a, double b) {
  const double s = a + b;
  return {s, b - (s - a)};
}
ALIGNDEC_HD DoubleDouble two_sum(double a, double b) {
  const double s = a + b, of_b = s - a;
  return {s, (a - (s - of_b)) + (b - of_b)};
}
ALIGNDEC_HD DoubleDouble two_product(double a, double b) {
  const double p = a * b;
  return {p, fma64(a, b, -p)};
}

ALIGNDEC_HD DoubleDouble operator-(DoubleDouble a) { return {-a.hi, -a.lo}; }
ALIGNDEC_HD DoubleDouble operator+(DoubleDouble a, DoubleDouble b) {
  const DoubleDouble sum = two_sum(a.hi, b.hi);
  return quick_sum(sum.hi, sum.lo + (a.lo + b.lo));
}
ALIGNDEC_HD DoubleDouble operator-(DoubleDouble a, DoubleDouble b) { return a + -b; }
ALIGNDEC_HD DoubleDouble operator*(DoubleDouble a, DoubleDouble b) {
  const DoubleDouble p = two_product(a.hi, b.hi);
  return quick_sum(p.hi, p.lo + (a.hi * b.lo + a.lo * b.hi));
}
ALIGNDEC_HD DoubleDouble operator/(DoubleDouble a, DoubleDouble b) {
  const double first = a.hi / b.hi;
  const DoubleDouble left = a - b * DoubleDouble{first};
  return quick_sum(first, left.hi / b.hi);
}
// Exact for powers of two.
ALIGNDEC_HD DoubleDouble scaled(DoubleDouble a, double power) {
  return {a.hi * power, a.lo * power};
}

// e^x = power (1 + f), power = 2^n with n = round(x / ln 2).
struct ExpSplit {
  DoubleDouble f;
  double power;

  // For x.hi in [-708, 709]. f: Taylor at a sixteenth of what is left of x, where the terms from
  // the fourth on need no second half, then four times (1 + f)^2 - 1.
  ALIGNDEC_HD explicit ExpSplit(DoubleDouble x) {
    constexpr double kLog2E = 0x1.71547652b82fep+0, kMagic = 0x1.8p+52;
    constexpr DoubleDouble kSixth{0x1.5555555555555p-3, 0x1.5555555555555p-57};
    const double shifted = x.hi * kLog2E + kMagic, n = shifted - kMagic;
    power = bit_cast<double>((bit_cast<uint64_t>(shifted) + 1023) << 52);
    const DoubleDouble low = two_product(n, Log64::kLn2Lo);
    // The first difference is exact.
    const DoubleDouble left = two_sum(x.hi - n * Log64::kLn2Hi, -low.hi);
    const DoubleDouble r = scaled(quick_sum(left.hi, left.lo + (x.lo - low.lo)), 1.0 / 16);
    double tail = 1.0 / 3628800;
    tail = tail * r.hi + 1.0 / 362880;
    tail = tail * r.hi + 1.0 / 40320;
    tail = tail * r.hi + 1.0 / 5040;
    tail = tail * r.hi + 1.0 / 720;
    tail = tail * r.hi + 1.0 / 120;
    tail = tail * r.hi + 1.0 / 24;
    const DoubleDouble square = r * r;
    const DoubleDouble cubic = square * r * kSixth + DoubleDouble{square.hi * square.hi * tail};
    f = r + (scaled(square, 0.5) + cubic);
    for (int i = 0; i < 4; ++i) f = scaled(f, 2.0) + f * f;
  }
};

// 0 below -708, where the result would not be normal.
ALIGNDEC_HD DoubleDouble wide_exp(DoubleDouble x) {
  if (!(x.hi >= -708.0)) return {};
  const ExpSplit e(x);
  return scaled(e.f + DoubleDouble{1.0}, e.power);
}
// ln(1 + x) for x > -1, by one step of Newton from the float64.
ALIGNDEC_HD DoubleDouble wide_log1p(DoubleDouble x) {
  const double y = log1p(x.hi);
  const ExpSplit e(DoubleDouble{y});
  const DoubleDouble there = scaled(e.f, e.power) + two_sum(e.power, -1.0);  // e^y - 1
  return DoubleDouble{y} + (x - there) / (x + DoubleDouble{1.0});
}

}  // namespace aligndec::core
