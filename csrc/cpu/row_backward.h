// Gradient of one scored token with the kept set held fixed. Included inside the namespace of each
// build, after row_weigh.h.

// core::ShiftedExp on all lanes.
struct ShiftedExp {
  Simd::F centre, slope, rest;

  explicit ShiftedExp(const core::ShiftedExp& e)
      : centre(Simd::set(e.centre)), slope(Simd::set(e.slope)), rest(Simd::set(e.rest)) {}

  Simd::F operator()(Simd::F x) const {
    const Simd::F t = Simd::fma(Simd::sub(x, centre), slope, rest);
    return exp_lanes(Simd::max(Simd::min(t, Simd::set(0.0f)), Simd::set(core::kLowestLogit)));
  }
};

// Adds base_weight p + kept_weight q + entropy_weight p (x - entropy_centre) to the gradient that
// is gathered in the workspace's list; nothing where no token exists.
template <class T>
void add_gradient(const RowInput<T>& in, Workspace& ws, const core::RowGradient& g) {
  const Row<T> row(in, ws);
  const ShiftedExp base(g.base), kept(g.kept);
  const Simd::F base_weight = Simd::set(g.base_weight), kept_weight = Simd::set(g.kept_weight);
  const Simd::F low = Simd::set(g.low), high = Simd::set(g.high);
  const Simd::F entropy_weight = Simd::set(g.entropy_weight);
  const Simd::F entropy_centre = Simd::set(g.entropy_centre);
  const Simd::F least = Simd::set(-FLT_MAX), most = Simd::set(FLT_MAX);
  for (int64_t b = 0; b < row.blocks; ++b) {
    for (int64_t v = 0; v < kBlock; v += Simd::kLanes) {
      const Simd::F x = row.lanes(b, v);
      float* out = ws.list_x + b * kBlock + v;
      const Simd::F p = Simd::only(base(x), Simd::between(x, least, most));
      const Simd::F q = Simd::only(kept(x), Simd::between(x, low, high));
      Simd::F sum = Simd::fma(kept_weight, q, Simd::fma(base_weight, p, Simd::load(out)));
      if (g.entropy_weight != 0.0f) {
        const Simd::F moved = Simd::mul(entropy_weight, Simd::sub(x, entropy_centre));
        sum = Simd::fma(Simd::only(moved, Simd::between(x, least, most)), p, sum);
      }
      Simd::store(out, sum);
    }
  }
}
