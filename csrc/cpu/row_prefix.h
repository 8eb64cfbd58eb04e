// Where a prefix by mass or by count ends, without a sort. Included inside the namespace of each
// build, after row_list.h.

// Types of their own, so that loops over keys can inline them.
struct DescendingKey {
  uint64_t operator()(float x) const { return core::descending_key(x); }
};
constexpr DescendingKey descending_key{};
struct TypicalKey {
  double centre;
  uint64_t operator()(float x) const {
    return core::bit_cast<uint64_t>(core::typical_key(centre, x));
  }
};
inline float from_descending_key(uint64_t key) {
  return core::from_descending_key(static_cast<uint32_t>(key));
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

// A guess of where a prefix ends among n keys that weigh `total`: keys below `least` are surely in
// it, keys above `most` surely are not, or nearly so. It looks at the heavy ones and at a sample of
// the others, and from the far end: what a prefix leaves out is light as a rule.
class PrefixGuess {
 public:
  static constexpr int64_t kFrom = 2048;  // shorter lists are searched at once
  uint64_t least, most;

  PrefixGuess(const uint64_t* key, const uint64_t* weight, int64_t n, uint64_t total,
              uint64_t limit) {
    const uint64_t heavy = total / kTaken + 1;
    for (int64_t i = 0; i < n / 8 * 8; i += 8)
      for (uint32_t m = Simd::heavy(weight + i, heavy); m != 0; m &= m - 1)
        take(key, weight, i + __builtin_ctz(m), 1);
    const int64_t exact = size_, step = n / kTaken;
    for (int64_t i = 0; i < kTaken; ++i)
      if (weight[i * step] < heavy) take(key, weight, i * step, static_cast<uint64_t>(step));
    const auto left_out = as_double(total - limit);
    const uint64_t middle = farthest(left_out);
    double square = 0.0;
    for (int64_t i = exact; i < size_; ++i) {
      const double w = ~far_[i] < middle ? 0.0 : as_double(weight_[i]);
      square += w * w;
    }
    const double error = 2.5 * sqrt(square);
    least = farthest(left_out + error);
    most = farthest(left_out - error);
  }

 private:
  static constexpr int64_t kTaken = 128;

  void take(const uint64_t* key, const uint64_t* weight, int64_t i, uint64_t share) {
    far_[size_] = ~key[i];
    weight_[size_++] = weight[i] * share;
  }
  // The key from which on the sample weighs this much.
  uint64_t farthest(double mass) const {
    if (mass < 1.0) return ~uint64_t{0};
    uint64_t far[2 * kTaken], weight[2 * kTaken];
    memcpy(far, far_, sizeof far);
    memcpy(weight, weight_, sizeof weight);
    return ~find_prefix(far, weight, size_, static_cast<uint64_t>(mass)).bound;
  }

  int64_t size_ = 0;
  uint64_t far_[2 * kTaken], weight_[2 * kTaken];
};

// find_prefix on the list, by weight or by count, with the keys that key_of gives the logits. A
// long list is first narrowed to where a guess says that the prefix ends.
template <class Key>
Prefix list_prefix(Workspace& ws, bool weighted, uint64_t limit, Key key_of) {
  const int64_t n = ws.list_size;
  for (int64_t i = 0; i < n; ++i) ws.key[i] = key_of(ws.list_x[i]);
  if (!weighted) return find_prefix(ws.key, nullptr, n, limit);
  if (n >= PrefixGuess::kFrom && limit < ws.list_mass) {
    const PrefixGuess guess(ws.key, ws.list_weight, n, ws.list_mass, limit);
    uint64_t before;
    const int64_t near =
        Simd::extract(ws.key, ws.list_weight, ws.key_weight, n, guess.least, guess.most, before);
    if (before < limit) {
      const Prefix p = find_prefix(ws.key, ws.key_weight, near, limit - before);
      if (p.reached) return p;
    }
    for (int64_t i = 0; i < n; ++i) ws.key[i] = key_of(ws.list_x[i]);
  }
  memcpy(ws.key_weight, ws.list_weight, static_cast<size_t>(n) * sizeof(uint64_t));
  return find_prefix(ws.key, ws.key_weight, n, limit);
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
