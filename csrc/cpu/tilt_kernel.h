// Row loops of the tilting kernel: included once per instruction set, inside its namespace and
// under its target pragma, after pool_kernel.h, whose Real and Word they use. The formulas are
// those of core/tilt/tilt.h.

// ln p of the outcomes from i on, -inf beyond the end.
template <class T>
[[gnu::always_inline]] static inline Real log_law_at(const TiltInput<T>& in, int64_t i) {
  const double inf = __builtin_inf();
  if (in.log_p) return load_some(in.log_p + i, in.n - i, -inf);
  Real a{};
  for (int64_t k = in.n - i; k < kWidth; ++k) a[k] = -inf;
  return a;
}

// The gap g of the outcomes from i on; in [-1, 0] also where p = 0.
template <class T>
[[gnu::always_inline]] static inline Real gap_at(const TiltLaw<T>& law, int64_t i) {
  const TiltInput<T>& in = law.input;
  const Real y = load_some(in.r + i, in.n - i, in.sign * law.best) * in.sign;
  return larger(smaller((y - law.best) * law.per_scale, every(0.0)), every(-1.0));
}

template <class T>
TiltRange tilt_range(const TiltInput<T>& in) {
  const double inf = __builtin_inf();
  Real most = every(-inf), least = every(inf), best = every(-inf), worst = every(inf);
  for (int64_t i = 0; i < in.n; i += kWidth) {
    const Real a = log_law_at(in, i), y = load_some(in.r + i, in.n - i, 0.0) * in.sign;
    const auto exists = a > -inf;
    most = larger(a, most);
    least = pick(exists, smaller(a, least), least);
    best = pick(exists, larger(y, best), best);
    worst = pick(exists & (y > -inf), smaller(y, worst), worst);
  }
  TiltRange out{-inf, inf, -inf, inf};
  for (int i = 0; i < kWidth; ++i) {
    out.most = most[i] > out.most ? most[i] : out.most;
    out.least = least[i] < out.least ? least[i] : out.least;
    out.best = best[i] > out.best ? best[i] : out.best;
    out.worst = worst[i] < out.worst ? worst[i] : out.worst;
  }
  return out;
}

template <class T>
core::TiltMasses tilt_weigh(const TiltLaw<T>& law, double most) {
  const double inf = __builtin_inf();
  const TiltInput<T>& in = law.input;
  Real top{}, rest{}, dead{}, first{}, second{};
  for (int64_t i = 0; i < in.n; i += kWidth) {
    const int64_t left = in.n - i;
    const Real a = log_law_at(in, i);
    const Real e = pick(a > -inf, exp_parts(clamped(a - most)).e, Real{});
    const Real y = load_some(in.r + i, left, 0.0) * in.sign;
    const auto live = y > -inf;
    const Real p = pick(live, e, Real{}), g = gap_at(law, i);
    dead += pick(live, Real{}, e);
    const auto at_top = y == law.best;
    top += pick(at_top, p, Real{});
    rest += pick(at_top, Real{}, p);
    first += p * g;
    second += p * g * g;
    if (left >= kWidth) {
      store(law.p + i, p);
    } else {
      for (int64_t k = 0; k < left; ++k) law.p[i + k] = p[k];
    }
  }
  return {{total(top), total(rest), total(dead)}, total(first), total(second)};
}

template <class T>
core::NearSums tilt_near(const TiltLaw<T>& law, double beta, double shift, double centre) {
  Real eta{}, h{}, d{}, square{};
  for (int64_t i = 0; i < law.input.n; i += kWidth) {
    const Real p = load_some(law.p + i, law.input.n - i, 0.0), g = gap_at(law, i);
    const Real x = clamped(Simd::madd(g, every(beta), every(-shift)));
    const ExpParts parts = exp_parts(x);
    const Real change = pick(parts.small, parts.em, parts.e - 1.0);
    const Real away = g - centre, moved = p * change;
    eta += moved;
    h += p *
         pick(parts.small, Simd::madd(x, parts.em, -parts.curve), Simd::madd(x, parts.e, -change));
    d = Simd::madd(moved, away, d);
    square = Simd::madd(p * parts.e * away, away, square);
  }
  return {total(eta) * law.norm, total(h) * law.norm, total(d) * law.norm,
          total(square) * law.norm};
}

template <class T>
core::FarSums tilt_far(const TiltLaw<T>& law, double beta) {
  Real rest{}, first{}, second{};
  for (int64_t i = 0; i < law.input.n; i += kWidth) {
    const Real p = load_some(law.p + i, law.input.n - i, 0.0), g = gap_at(law, i);
    // What underflows is nothing: a floor there would look like a far slower decay.
    const Real x = g * beta, floor = every(core::TiltExp::kMin);
    const Real w = pick(x > floor, p * exp_parts(larger(x, floor)).e, Real{});
    const Real wg = w * g;
    rest += pick(g == 0.0, Real{}, w);
    first += wg;
    second = Simd::madd(wg, g, second);
  }
  return {total(rest) * law.norm, total(first) * law.norm, total(second) * law.norm};
}

template <class T>
core::TiltDetail tilt_detail(const TiltLaw<T>& law, double beta, double shift, double centre,
                             double mean) {
  Real square{}, excess{}, drift{};
  for (int64_t i = 0; i < law.input.n; i += kWidth) {
    const Real p = load_some(law.p + i, law.input.n - i, 0.0), g = gap_at(law, i);
    const Real e = exp_parts(clamped(Simd::madd(g, every(beta), every(-shift)))).e;
    square += p * e * (g - mean) * (g - mean);
    const Real away = g - centre, y = clamped(away * beta);
    const ExpParts parts = exp_parts(y);
    excess += p * pick(parts.small, parts.curve, parts.e - 1.0 - y);
    drift += p * away;
  }
  return {total(square) * law.norm, total(excess) * law.norm, total(drift) * law.norm};
}

// Masses to more than float64: the compiler forms the vectors.
template <class T>
core::WideMasses tilt_wide(const TiltInput<T>& in, const core::TiltGroups& groups) {
  constexpr int kStretch = 32;
  core::WideMasses sums;
  double a[kStretch], y[kStretch], hi[kStretch], lo[kStretch];
  for (int64_t i = 0; i < in.n; i += kStretch) {
    const int count = static_cast<int>(in.n - i < kStretch ? in.n - i : kStretch);
    for (int k = 0; k < count; ++k) {
      a[k] = in.log_p ? static_cast<double>(in.log_p[i + k]) : 0.0;
      y[k] = in.sign * static_cast<double>(in.r[i + k]);
    }
    for (int k = count; k < kStretch; ++k) a[k] = y[k] = -__builtin_inf();
    for (int k = 0; k < kStretch; ++k) {
      const core::DoubleDouble w = core::WideMasses::mass(groups, a[k], y[k]);
      hi[k] = w.hi;
      lo[k] = w.lo;
    }
    for (int k = 0; k < count; ++k) sums.count(groups, y[k], {hi[k], lo[k]});
  }
  return sums;
}

template <class T>
TiltKernel<T> make_tilt_kernel() {
  return {&tilt_wide<T>, &tilt_range<T>, &tilt_weigh<T>,
          &tilt_near<T>, &tilt_far<T>,   &tilt_detail<T>};
}
