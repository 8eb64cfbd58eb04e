// Where a prefix by mass or by count ends, without a sort; and a sample of the row that says
// roughly where. Included inside the namespace of each build, after row_list.h.

// Logits as integers, largest first; -0 and +0 are one. A type of its own, so that loops over keys
// can inline it.
struct DescendingKey {
  uint64_t operator()(float x) const {
    const uint32_t bits = core::bit_cast<uint32_t>(x + 0.0f);
    const uint32_t ascending = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return static_cast<uint32_t>(~ascending);
  }
};
constexpr DescendingKey descending_key{};
inline float from_descending_key(uint64_t key) {
  const uint32_t ascending = ~static_cast<uint32_t>(key);
  return core::bit_cast<float>(ascending & 0x80000000u ? ascending & 0x7fffffffu : ~ascending);
}

// The end of a prefix: keys at or below `bound` stay. `reached`: together they weigh the limit at
// least.
struct Prefix {
  uint64_t bound;
  bool reached;
};

// A key is kept iff the weight of all smaller keys is below `limit` (> 0). Works in place on the
// keys and their weights (null: 1 each); no order is assumed.
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

// A stratified sample of the row as a list: the maximum of every block, which stands for itself,
// then the rest of some blocks, each standing for `share` tokens. Heavy tokens are maxima of their
// blocks, so what is estimated is the light remainder.
struct Sample {
  int64_t exact;
  uint64_t share;
};
constexpr int64_t kSampleBlocks = 48;
constexpr int64_t kSampleFrom = 2 * kSampleBlocks * kBlock;  // shorter rows are not sampled

template <class T>
Sample sample_row(const RowInput<T>& in, Workspace& ws) {
  const Row<T> row(in, ws);
  int64_t size = 0;
  for (int64_t b = 0; b < row.blocks; ++b) {
    ws.list_x[size] = ws.block_max[b];
    size += ws.block_max[b] > -INFINITY;
  }
  const int64_t exact = size, step = row.blocks / kSampleBlocks;
  const Simd::F least = Simd::set(-FLT_MAX);
  for (int64_t s = 0; s < kSampleBlocks; ++s) {
    const Simd::F most = Simd::set(ws.block_max[s * step]);
    for (int64_t v = 0; v < kBlock; v += Simd::kLanes) {
      const Simd::F x = row.lanes(s * step, v);
      const auto rest = Simd::but_not(Simd::between(x, least, most), Simd::equal(x, most));
      size += Simd::compress(ws.list_x + size, x, rest);
    }
  }
  ws.list_size = size;
  return {exact, static_cast<uint64_t>(row.blocks / kSampleBlocks)};
}

// Weighs the sampled list, each token for all that it stands for.
inline void weigh_sample(Workspace& ws, const core::Scale& scale, const Sample& sample) {
  weigh_list(ws, scale, ws.top);
  for (int64_t i = sample.exact; i < ws.list_size; ++i) ws.list_weight[i] *= sample.share;
}

// The outermost float between `inner` and `outer` whose key is at most `radius`; keys grow
// outwards, with ties.
inline float typical_edge(double centre, double radius, float inner, float outer) {
  if (core::typical_key(centre, outer) <= radius) return outer;
  uint64_t in = descending_key(inner), out = descending_key(outer);
  while (in + 1 < out || out + 1 < in) {
    const uint64_t middle = in < out ? in + (out - in) / 2 : in - (in - out) / 2;
    const bool kept = core::typical_key(centre, from_descending_key(middle)) <= radius;
    (kept ? in : out) = middle;
  }
  return from_descending_key(in);
}
inline void typical_interval(double centre, double radius, float& low, float& high) {
  low = typical_edge(centre, radius, static_cast<float>(centre), -FLT_MAX);
  high = typical_edge(centre, radius, static_cast<float>(centre), FLT_MAX);
}
