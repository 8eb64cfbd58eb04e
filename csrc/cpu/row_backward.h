// Gradient of one scored token with the kept set held fixed. Included inside the namespace of each
// build, after row_weigh.h.

// e^(a x - b) on all lanes for a x <= b, through exp32: x is first moved by a float near b / a, so
// that large offsets cost nothing.
struct ShiftedExp {
  Simd::F centre, slope, rest;

  ShiftedExp(double a, double b)
      : centre(Simd::set(static_cast<float>(b / a))),
        slope(Simd::set(static_cast<float>(a))),
        rest(
            Simd::set(static_cast<float>(static_cast<double>(static_cast<float>(b / a)) * a - b))) {
  }

  Simd::F operator()(Simd::F x) const {
    const Simd::F t = Simd::fma(Simd::sub(x, centre), slope, rest);
    return exp_lanes(Simd::max(Simd::min(t, Simd::set(0.0f)), Simd::set(core::kLowestLogit)));
  }
};

// Adds base_weight p + kept_weight q to the gradient that is gathered in the workspace's list;
// nothing where no token exists.
template <class T>
void add_gradient(const RowInput<T>& in, Workspace& ws, const RowGradient& g) {
  const Row<T> row(in, ws);
  const ShiftedExp base(1.0, g.base_log_sum), kept(g.slope, g.kept_log_sum);
  const Simd::F base_weight = Simd::set(g.base_weight), kept_weight = Simd::set(g.kept_weight);
  const Simd::F low = Simd::set(g.low), high = Simd::set(g.high);
  const Simd::F least = Simd::set(-FLT_MAX), most = Simd::set(FLT_MAX);
  for (int64_t b = 0; b < row.blocks; ++b) {
    for (int64_t v = 0; v < kBlock; v += Simd::kLanes) {
      const Simd::F x = row.lanes(b, v);
      float* out = ws.list_x + b * kBlock + v;
      const Simd::F p = Simd::only(base(x), Simd::between(x, least, most));
      const Simd::F q = Simd::only(kept(x), Simd::between(x, low, high));
      Simd::store(out, Simd::fma(kept_weight, q, Simd::fma(base_weight, p, Simd::load(out))));
    }
  }
}
