// Moments of a weighted list, good to a few digits, for forecasts. Included inside the namespace of
// each build, after row_sample.h.

// Sums over list entries; t counts downwards from the maximum.
struct Moments {
  double w, wt, w2, w2t, w2t2;
};

inline double sum_of_lanes(Simd::F v) {
  alignas(64) float lane[Simd::kLanes];
  Simd::store(lane, v);
  double sum = 0.0;
  for (float each : lane) sum += static_cast<double>(each);
  return sum;
}

// Of entries [first, last).
inline Moments moments_of(const Workspace& ws, const core::Scale& scale, int64_t first,
                          int64_t last) {
  const Weighing weighing(ws.top, scale);
  Simd::F w = Simd::set(0.0f), wt = w, w2 = w, w2t = w, w2t2 = w;
  const Simd::F minus = Simd::set(-1.0f);
  for (int64_t i = first; i + Simd::kLanes <= last; i += Simd::kLanes) {
    const Simd::F x = Simd::load(ws.list_x + i);
    const Simd::F t = scale.identity ? weighing.gap<false>(x) : weighing.gap<true>(x);
    const Simd::F each = exp_lanes(t), down = Simd::mul(t, minus);
    const Simd::F squared = Simd::mul(each, each), moved = Simd::mul(squared, down);
    w = Simd::add(w, each);
    wt = Simd::fma(each, down, wt);
    w2 = Simd::add(w2, squared);
    w2t = Simd::add(w2t, moved);
    w2t2 = Simd::fma(moved, down, w2t2);
  }
  return {sum_of_lanes(w), sum_of_lanes(wt), sum_of_lanes(w2), sum_of_lanes(w2t),
          sum_of_lanes(w2t2)};
}
