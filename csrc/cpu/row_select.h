// The survivors as a list of logits: gathering an interval, weighing it, and finding the cut of a prefix by mass or by count
// without a sort. Token ids are not kept: the draw finds them again. Included inside the namespace of each build, after row_scan.h.

// Collects the tokens with low <= x <= high, in id order; blocks whose maximum lies below are not read.
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
    Simd::store_weights(ws.list_weight + i, w, core::kMassMagic);
    Simd::add_weights(sum.mass, w, core::kMassMagic);
    Simd::add_products(sum.entropy, w, Simd::widen(t), core::kMassMagic);
  }
  return {MassSum::total(sum.mass, added), MassSum::total(sum.entropy, added)};
}

// Weighs the list relative to `top`.
inline Sums weigh_list(Workspace& ws, const core::Scale& scale, float top) {
  return scale.identity ? weigh_list_as<false>(ws, scale, top) : weigh_list_as<true>(ws, scale, top);
}

// Logits as integers, largest first; -0 and +0 are one.
inline uint64_t descending_key(float x) {
  const uint32_t bits = core::bit_cast<uint32_t>(x + 0.0f);
  const uint32_t ascending = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  return static_cast<uint32_t>(~ascending);
}
inline float from_descending_key(uint64_t key) {
  const uint32_t ascending = ~static_cast<uint32_t>(key);
  return core::bit_cast<float>(ascending & 0x80000000u ? ascending & 0x7fffffffu : ~ascending);
}

// The end of a prefix: keys at or below `bound` stay. `reached`: together they weigh the limit at least.
struct Prefix {
  uint64_t bound;
  bool reached;
};

// A key is kept iff the weight of all smaller keys is below `limit` (> 0). Works in place on the keys and their weights (null: 1
// each); no order is assumed.
inline Prefix find_prefix(uint64_t* key, uint64_t* weight, int64_t n, uint64_t limit) {
  uint64_t before = 0, bound = 0, least = 0, most = ~uint64_t{0};
  for (int round = 0; n > 0; ++round) {
    uint64_t pivot;
    if (round < 32) {  // the middle one of three
      const uint64_t a = key[n / 4], b = key[n / 2], c = key[n - 1 - n / 4];
      pivot = larger(smaller(a, b), smaller(larger(a, b), c));
    } else {  // halving the range of keys ends whatever the input
      pivot = least + (most - least) / 2;
    }
    uint64_t below, equal;
    Simd::split_sums(key, weight, n, pivot, below, equal);
    if (before + below >= limit) {
      most = pivot - 1;
      n = Simd::partition(key, weight, n, pivot, true);
    } else {
      bound = pivot;
      before += below + equal;
      if (before >= limit) return {bound, true};
      least = pivot + 1;
      n = Simd::partition(key, weight, n, pivot, false);
    }
  }
  return {bound, before >= limit};
}

// find_prefix on the list, by weight or by count, with the keys that key_of gives the logits.
template <class Key>
Prefix list_prefix(Workspace& ws, bool weighted, uint64_t limit, Key key_of) {
  const int64_t n = ws.list_size;
  for (int64_t i = 0; i < n; ++i) ws.key[i] = key_of(ws.list_x[i]);
  if (!weighted) return find_prefix(ws.key, nullptr, n, limit);
  memcpy(ws.key_weight, ws.list_weight, static_cast<size_t>(n) * sizeof(uint64_t));
  return find_prefix(ws.key, ws.key_weight, n, limit);
}

// A sample of the row in whole blocks, as a weighted list; returns how many logits one of them stands for.
constexpr int64_t kSampleBlocks = 32;

template <class T>
double sample_row(const RowInput<T>& in, Workspace& ws) {
  const Row<T> row(in, ws);
  const int64_t step = row.blocks / kSampleBlocks;
  const Simd::F least = Simd::set(-FLT_MAX), most = Simd::set(FLT_MAX);
  int64_t size = 0;
  for (int64_t s = 0; s < kSampleBlocks; ++s) {
    for (int64_t v = 0; v < kBlock; v += Simd::kLanes) {
      const Simd::F x = row.lanes(s * step, v);
      size += Simd::compress(ws.list_x + size, x, Simd::between(x, least, most));
    }
  }
  ws.list_size = size;
  return static_cast<double>(row.blocks) / static_cast<double>(kSampleBlocks);
}
