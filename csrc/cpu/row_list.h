// The survivors as a list of logits: gathering an interval and weighing it. Token ids are not kept:
// the draw finds them again. Included inside the namespace of each build, after row_weigh.h.

// Collects the tokens with low <= x <= high, in id order; blocks whose maximum lies below are not
// read.
template <class T>
void gather(const RowInput<T>& in, Workspace& ws, float low, float high) {
  const Row<T> row(in, ws);
  const Simd::F lo = Simd::set(low), hi = Simd::set(high);
  int64_t size = 0;
  for (int64_t b = 0; b < row.blocks; ++b) {
    if (ws.block_max[b] < low) continue;
    for (int64_t v = 0; v < kBlock; v += Simd::kLanes) {
      const Simd::F x = row.lanes(b, v);
      size += Simd::compress(ws.list_x + size, x, Simd::between(x, lo, hi));
    }
  }
  ws.list_size = size;
}

// Fills the lanes past the end, which weigh nothing and are never kept.
inline void pad(float* x, int64_t n) {
  for (int64_t i = 0; i < kSlack; ++i) x[n + i] = -INFINITY;
}
inline void pad_list(Workspace& ws) { pad(ws.list_x, ws.list_size); }

// Drops from the list what lies outside [low, high].
inline void narrow(Workspace& ws, float low, float high) {
  pad_list(ws);
  const Simd::F lo = Simd::set(low), hi = Simd::set(high);
  int64_t size = 0;
  for (int64_t i = 0; i < ws.list_size; i += Simd::kLanes) {
    const Simd::F x = Simd::load(ws.list_x + i);
    // In place: what is written never passes what has been read.
    size += Simd::compress(ws.list_x + size, x, Simd::between(x, lo, hi));
  }
  ws.list_size = size;
}

// Least and largest logit of a list that is not empty.
inline void list_range(const Workspace& ws, float& least, float& most) {
  least = most = ws.list_x[0];
  Simd::F low = Simd::set(least), high = low;
  int64_t i = 0;
  for (; i + Simd::kLanes <= ws.list_size; i += Simd::kLanes) {
    const Simd::F x = Simd::load(ws.list_x + i);
    low = Simd::min(x, low);
    high = Simd::max(x, high);
  }
  least = Simd::reduce_min(low);
  most = Simd::reduce_max(high);
  for (; i < ws.list_size; ++i) {
    least = smaller(least, ws.list_x[i]);
    most = larger(most, ws.list_x[i]);
  }
}

// How many of n logits lie in [low, high].
inline int64_t count_between(const float* x, int64_t n, float low, float high) {
  const Simd::F lo = Simd::set(low), hi = Simd::set(high);
  int64_t count = 0, i = 0;
  for (; i + Simd::kLanes <= n; i += Simd::kLanes)
    count += __builtin_popcount(Simd::lanes(Simd::between(Simd::load(x + i), lo, hi)));
  for (; i < n; ++i) count += x[i] >= low && x[i] <= high;
  return count;
}

// Weighs n logits relative to `top`, and the lanes up to the next multiple, which must weigh
// nothing.
template <bool kScaled>
Sums weigh_array_as(const float* x, int64_t n, uint64_t* weights, const core::Scale& scale,
                    float top) {
  const Weighing weighing(top, scale);
  MassSum sum;
  int64_t added = 0;
  for (int64_t i = 0; i < n; i += Simd::kLanes, added += Simd::kLanes) {
    const Simd::F t = weighing.gap<kScaled>(Simd::load(x + i));
    const Simd::Wide w = Simd::widen(exp_lanes(t));
    const Simd::Words bits = Simd::weight_bits(w, core::kMassMagic);
    Simd::store_weights(weights + i, bits, core::kMassMagic);
    Simd::add_words(sum.mass, bits);
    Simd::add_words(sum.entropy, Simd::product_bits(w, Simd::widen_gap(t), core::kMassMagic));
  }
  return {MassSum::total(sum.mass, added), MassSum::total(sum.entropy, added)};
}
inline Sums weigh_array(const float* x, int64_t n, uint64_t* weights, const core::Scale& scale,
                        float top) {
  return scale.identity ? weigh_array_as<false>(x, n, weights, scale, top)
                        : weigh_array_as<true>(x, n, weights, scale, top);
}

// What the tokens of the list from `low` on weigh, relative to `top`.
inline Sums list_sums_from(Workspace& ws, const core::Scale& scale, float top, float low) {
  pad_list(ws);
  const Weighing weighing(top, scale);
  const Simd::F floor = Simd::set(low);
  MassSum all, sum;
  int64_t added = 0;
  for (int64_t i = 0; i < ws.list_size; i += Simd::kLanes) {
    const Simd::F x = Simd::load(ws.list_x + i);
    const auto wanted = Simd::at_least(x, floor);
    added += __builtin_popcount(Simd::lanes(wanted));
    all.add_watched<true>(scale.identity ? weighing.gap<false>(x) : weighing.gap<true>(x), sum,
                          wanted);
  }
  return {MassSum::total(sum.mass, added), MassSum::total(sum.entropy, added)};
}

// Weighs the list relative to `top`.
inline Sums weigh_list(Workspace& ws, const core::Scale& scale, float top) {
  pad_list(ws);
  const Sums sums = weigh_array(ws.list_x, ws.list_size, ws.list_weight, scale, top);
  ws.list_mass = sums.mass;
  return sums;
}
