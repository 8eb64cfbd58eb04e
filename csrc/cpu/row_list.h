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
inline void pad_list(Workspace& ws) {
  for (int64_t i = 0; i < kSlack; ++i) ws.list_x[ws.list_size + i] = -INFINITY;
}

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

template <bool kScaled>
Sums weigh_list_as(Workspace& ws, const core::Scale& scale, float top) {
  const int64_t n = ws.list_size;
  pad_list(ws);
  const Weighing weighing(top, scale);
  MassSum sum;
  int64_t added = 0;
  for (int64_t i = 0; i < n; i += Simd::kLanes, added += Simd::kLanes) {
    const Simd::F t = weighing.gap<kScaled>(Simd::load(ws.list_x + i));
    const Simd::Wide w = Simd::widen(exp_lanes(t));
    const Simd::Words weights = Simd::weight_bits(w, core::kMassMagic);
    Simd::store_weights(ws.list_weight + i, weights, core::kMassMagic);
    Simd::add_words(sum.mass, weights);
    Simd::add_words(sum.entropy, Simd::product_bits(w, Simd::widen_gap(t), core::kMassMagic));
  }
  ws.list_mass = MassSum::total(sum.mass, added);
  return {ws.list_mass, MassSum::total(sum.entropy, added)};
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
  return scale.identity ? weigh_list_as<false>(ws, scale, top)
                        : weigh_list_as<true>(ws, scale, top);
}
