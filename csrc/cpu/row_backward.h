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

// Adds base_weight p, p of the logits as they came, and of the edited ones scaled_weight s and
// kept_weight q, and entropy_weight p (x - entropy_centre), to the gradient that is gathered in the
// workspace's list; nothing where no token exists.
template <class T, bool kKept, bool kScaled, bool kEdited>
void add_laws(const RowInput<T>& in, Workspace& ws, const core::RowGradient& g) {
  RowInput<T> as_it_came = in;
  as_it_came.edited = nullptr;
  const Row<T> row(as_it_came, ws), edited(in, ws);
  const ShiftedExp base(g.base), kept(g.kept), scaled(g.scaled);
  const Simd::F base_weight = Simd::set(g.base_weight), kept_weight = Simd::set(g.kept_weight),
                scaled_weight = Simd::set(g.scaled_weight);
  const Simd::F low = Simd::set(g.low), high = Simd::set(g.high);
  const Simd::F entropy_weight = Simd::set(g.entropy_weight);
  const Simd::F entropy_centre = Simd::set(g.entropy_centre);
  const Simd::F least = Simd::set(-FLT_MAX), most = Simd::set(FLT_MAX);
  for (int64_t b = 0; b < row.blocks; ++b) {
    for (int64_t v = 0; v < kBlock; v += Simd::kLanes) {
      const Simd::F x = row.lanes(b, v);
      const Simd::F z = kEdited ? edited.lanes(b, v) : x;
      float* out = ws.list_x + b * kBlock + v;
      const Simd::F p = Simd::only(base(x), Simd::between(x, least, most));
      Simd::F sum = Simd::fma(base_weight, p, Simd::load(out));
      if constexpr (kScaled) {
        const Simd::F s = Simd::only(scaled(z), Simd::between(z, least, most));
        sum = Simd::fma(scaled_weight, s, sum);
      }
      if constexpr (kKept) {
        const Simd::F q = Simd::only(kept(z), Simd::between(z, low, high));
        sum = Simd::fma(kept_weight, q, sum);
      }
      if (g.entropy_weight != 0.0f) {
        const Simd::F moved = Simd::mul(entropy_weight, Simd::sub(x, entropy_centre));
        sum = Simd::fma(Simd::only(moved, Simd::between(x, least, most)), p, sum);
      }
      Simd::store(out, sum);
    }
  }
}

// Adds kept_weight q of the given tokens.
template <class T>
void add_given(const RowInput<T>& in, Workspace& ws, const core::RowGradient& g,
               const SparseRow& given) {
  const ShiftedExp kept(g.kept);
  const Simd::F weight = Simd::set(g.kept_weight);
  float* const gradient = ws.list_x;
  ws.list_x = ws.band_x;  // the list of this row's gradient is taken
  gather_given(in, ws, given);
  pad_list(ws);
  for (int64_t i = 0; i < ws.list_size; i += Simd::kLanes) {
    const Simd::F z = Simd::load(ws.list_x + i);
    const Simd::F q = Simd::only(kept(z), Simd::at_least(z, Simd::set(-FLT_MAX)));
    Simd::store(ws.list_x + i, Simd::mul(weight, q));
  }
  ws.list_x = gradient;
  for (int64_t i = 0; i < ws.list_size; ++i) gradient[given.ids[i]] += ws.band_x[i];
}

template <class T>
void add_gradient(const RowInput<T>& in, Workspace& ws, const core::RowGradient& g,
                  const SparseRow& given) {
  const bool scaled = g.scaled_weight != 0.0f;
  if (!given.ids && !in.edited) return add_laws<T, true, false, false>(in, ws, g);
  if (!given.ids) return add_laws<T, true, false, true>(in, ws, g);
  if (!scaled) {
    add_laws<T, false, false, false>(in, ws, g);
  } else if (!in.edited) {
    add_laws<T, false, true, false>(in, ws, g);
  } else {
    add_laws<T, false, true, true>(in, ws, g);
  }
  if (g.kept_weight != 0.0f) add_given(in, ws, g, given);
}
