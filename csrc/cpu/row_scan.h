// Full-row passes: the scan for the maximum and for bad logits, and the pass that turns logits into integer masses. Included
// inside the namespace of each build, after its Simd.

// Own small helpers: a std algorithm instantiated under a target pragma could be linked into another build.
template <class V>
V smaller(V a, V b) {
  return b < a ? b : a;
}
template <class V>
V larger(V a, V b) {
  return a < b ? b : a;
}

template <class T>
struct Row {
  const RowInput<T>& in;
  const T* tail;  // the last, short block, padded with -inf and masked
  int64_t whole;  // blocks that are read from the row itself
  int64_t blocks;

  Row(const RowInput<T>& input, Workspace& ws)
      : in(input),
        tail(reinterpret_cast<const T*>(ws.tail)),
        whole(input.n / kBlock),
        blocks((input.n + kBlock - 1) / kBlock) {}

  Simd::F lanes(int64_t block, int64_t lane) const {
    if (block == whole) return Simd::load(tail + lane);
    const int64_t id = block * kBlock + lane;
    const Simd::F x = Simd::load(in.x + id);
    if (in.allowed) return Simd::allow(x, in.allowed + id);
    if (in.allowed_bits) return Simd::allow_bits(x, in.allowed_bits, id);
    return x;
  }
};

inline bool is_allowed(const bool* flags, const uint32_t* bits, int64_t id) {
  if (flags) return flags[id];
  return !bits || ((bits[id >> 5] >> (id & 31)) & 1u);
}

template <class T>
void fill_tail(const RowInput<T>& in, Workspace& ws) {
  T* tail = reinterpret_cast<T*>(ws.tail);
  const int64_t first = in.n / kBlock * kBlock;
  for (int64_t i = 0; i < kBlock; ++i) {
    const int64_t id = first + i;
    const bool exists = id < in.n && is_allowed(in.allowed, in.allowed_bits, id);
    tail[i] = exists ? in.x[id] : static_cast<T>(-INFINITY);
  }
}

// Calls body(first, last) on ranges that cover [0, n), whole multiples of `unit` but for the last: one range, or one for each
// member of the team.
template <class Body>
void for_ranges(const Team& team, int64_t n, int64_t unit, Body& body) {
  if (team.parts <= 1 || !team.run) {
    body(int64_t{0}, n, 0);
    return;
  }
  struct Context {
    Body* body;
    int64_t n, step;
  };
  const int64_t units = (n + unit - 1) / unit;
  Context context{&body, n, (units + team.parts - 1) / team.parts * unit};
  team.run(team.parts, &context, [](void* opaque, int part) {
    auto& c = *static_cast<Context*>(opaque);
    const int64_t first = smaller(c.n, part * c.step);
    (*c.body)(first, smaller(c.n, first + c.step), part);
  });
}

constexpr int kMaxParts = 64;
constexpr uint32_t kInfinityBits = 0x7f800000u;

template <class T>
int64_t count_existing(const Row<T>& row) {
  const Simd::F least = Simd::set(-FLT_MAX), most = Simd::set(FLT_MAX);
  int64_t count = 0;
  for (int64_t b = 0; b < row.blocks; ++b)
    for (int64_t v = 0; v < kBlock; v += Simd::kLanes)
      count += __builtin_popcount(Simd::lanes(Simd::between(row.lanes(b, v), least, most)));
  return count;
}

// Finds the maximum of the row and of each block, counts the tokens that exist, and marks NaN and +inf.
template <class T>
void scan_row(const RowInput<T>& in, Workspace& ws) {
  fill_tail(in, ws);
  const Row<T> row(in, ws);
  ws.base_known = ws.scaled_known = ws.scaled_entropy_known = ws.sigma_known = false;

  float part_max[kMaxParts];
  uint32_t part_magnitude[kMaxParts];
  for (int i = 0; i < kMaxParts; ++i) {
    part_max[i] = -INFINITY;
    part_magnitude[i] = 0;
  }
  auto body = [&](int64_t first, int64_t last, int part) {
    typename Simd::Magnitude magnitude;
    float top = -INFINITY;
    for (int64_t b = first; b < last; ++b) {
      Simd::F most = row.lanes(b, 0);
      if (b < row.whole) magnitude.add(most);
      for (int64_t v = Simd::kLanes; v < kBlock; v += Simd::kLanes) {
        const Simd::F x = row.lanes(b, v);
        if (b < row.whole) magnitude.add(x);
        most = Simd::max(x, most);
      }
      const float block_max = Simd::reduce_max(most);
      ws.block_max[b] = block_max;
      top = block_max > top ? block_max : top;
    }
    part_max[part] = top;
    part_magnitude[part] = magnitude.get();
  };
  for_ranges(ws.team, row.blocks, 1, body);

  ws.top = -INFINITY;
  uint32_t magnitude = 0;
  for (int i = 0; i < kMaxParts; ++i) {
    ws.top = larger(ws.top, part_max[i]);
    magnitude = larger(magnitude, part_magnitude[i]);
  }
  for (int64_t i = 0; i < in.n - row.whole * kBlock; ++i) {  // padding is not looked at
    const uint32_t bits = core::bit_cast<uint32_t>(static_cast<float>(row.tail[i])) & 0x7fffffffu;
    magnitude = larger(magnitude, bits);
  }
  ws.count = magnitude < kInfinityBits ? in.n : count_existing(row);
  ws.status = core::kOk;
  if (magnitude > kInfinityBits || ws.top == INFINITY) {
    ws.status = core::kBadLogit;
  } else if (ws.count == 0) {
    ws.status = core::kNoToken;
  }
}

// exp32 on all lanes: the steps of core::exp32, operation for operation.
inline Simd::F exp_lanes(Simd::F t) {
  using K = core::Exp32;
  const Simd::F magic = Simd::set(K::kMagic);
  const Simd::F s = Simd::fma(t, Simd::set(K::kLog2E), magic);
  const Simd::F n = Simd::sub(s, magic);
  Simd::F r = Simd::fma(n, Simd::set(K::kMinusLn2Hi), t);
  r = Simd::fma(n, Simd::set(K::kMinusLn2Lo), r);
  Simd::F q = Simd::fma(Simd::set(K::kC7), r, Simd::set(K::kC6));
  q = Simd::fma(q, r, Simd::set(K::kC5));
  q = Simd::fma(q, r, Simd::set(K::kC4));
  q = Simd::fma(q, r, Simd::set(K::kC3));
  q = Simd::fma(q, r, Simd::set(K::kC2));
  const Simd::F y = Simd::add(Simd::fma(Simd::mul(r, r), q, r), Simd::set(K::kOne));
  return Simd::scale_by_exponent(y, s);
}

struct Weighing {
  Simd::F top, lowest_gap, lowest, high, low;

  Weighing(float maximum, const core::Scale& scale)
      : top(Simd::set(maximum)),
        lowest_gap(Simd::set(core::kLowestGap)),
        lowest(Simd::set(core::kLowestLogit)),
        high(Simd::set(scale.high)),
        low(Simd::set(scale.low)) {}

  // core::scaled_gap on all lanes.
  template <bool kScaled>
  Simd::F gap(Simd::F x) const {
    Simd::F t = Simd::sub(x, top);
    if constexpr (kScaled) {
      t = Simd::max(t, lowest_gap);
      t = Simd::fma(t, high, Simd::mul(t, low));
    }
    return Simd::max(t, lowest);
  }
};

// Adds up one law's masses; `lanes_added` doubles of magic have to come off at the end.
struct MassSum {
  Simd::Words mass, entropy;

  // Written out: a constructor that the compiler makes up would not be under the target pragma.
  MassSum() : mass(Simd::zero_words()), entropy(Simd::zero_words()) {}

  template <bool kEntropy>
  void add(Simd::F t) {
    const Simd::Wide w = Simd::widen(exp_lanes(t));
    Simd::add_weights(mass, w, core::kMassMagic);
    if constexpr (kEntropy) Simd::add_products(entropy, w, Simd::widen(t), core::kMassMagic);
  }
  static uint64_t total(const Simd::Words& words, int64_t lanes_added) {
    return Simd::reduce_words(words) -
           static_cast<uint64_t>(lanes_added) * core::bit_cast<uint64_t>(core::kMassMagic);
  }
};

// Weighs blocks [first, last): the base law, the scaled one, or both in one read. Chunk masses serve the draw.
template <class T, bool kBase, bool kScaled, bool kScaledEntropy>
void weigh_blocks(const Row<T>& row, Workspace& ws, const core::Scale& scale, double tau,
                  int64_t first, int64_t last, Sums& base, Sums& scaled) {
  const Weighing weighing(ws.top, scale);
  const float skip = ws.top + core::kNoMass * static_cast<float>(larger(1.0, tau));
  for (int64_t chunk = first; chunk < last; chunk += kChunk / kBlock) {
    MassSum base_sum, scaled_sum;
    int64_t added = 0;
    const int64_t end = smaller(last, chunk + kChunk / kBlock);
    for (int64_t b = chunk; b < end; ++b) {
      if (ws.block_max[b] < skip) continue;
      added += kBlock;
      for (int64_t v = 0; v < kBlock; v += Simd::kLanes) {
        const Simd::F x = row.lanes(b, v);
        if constexpr (kBase) base_sum.add<true>(weighing.gap<false>(x));
        if constexpr (kScaled) scaled_sum.add<kScaledEntropy>(weighing.gap<true>(x));
      }
    }
    const int64_t at = chunk / (kChunk / kBlock);
    if constexpr (kBase) {
      ws.base_chunks[at] = MassSum::total(base_sum.mass, added);
      base.mass += ws.base_chunks[at];
      base.entropy += MassSum::total(base_sum.entropy, added);
    }
    if constexpr (kScaled) {
      ws.scaled_chunks[at] = MassSum::total(scaled_sum.mass, added);
      scaled.mass += ws.scaled_chunks[at];
      if constexpr (kScaledEntropy)
        scaled.entropy += MassSum::total(scaled_sum.entropy, added);
    }
  }
}

template <class T, bool kBase, bool kScaled, bool kScaledEntropy>
void weigh_in_ranges(const Row<T>& row, Workspace& ws, const core::Scale& scale, double tau) {
  Sums base[kMaxParts], scaled[kMaxParts];
  auto body = [&](int64_t first, int64_t last, int part) {
    weigh_blocks<T, kBase, kScaled, kScaledEntropy>(row, ws, scale, tau, first, last, base[part],
                                                    scaled[part]);
  };
  for_ranges(ws.team, row.blocks, kChunk / kBlock, body);
  Sums base_total, scaled_total;
  for (int i = 0; i < kMaxParts; ++i) {
    base_total.mass += base[i].mass;
    base_total.entropy += base[i].entropy;
    scaled_total.mass += scaled[i].mass;
    scaled_total.entropy += scaled[i].entropy;
  }
  if constexpr (kBase) ws.base = base_total;
  if constexpr (kScaled) ws.scaled = scaled_total;
}

// Makes the masses of the base law, and of the scaled one where it differs, known; keeps what is known already.
template <class T>
void weigh_row(const RowInput<T>& in, Workspace& ws, const core::Rule& rule, bool scaled_entropy) {
  const Row<T> row(in, ws);
  const core::Scale& s = rule.scale;
  const bool same = ws.scaled_known && ws.scaled_at.high == s.high && ws.scaled_at.low == s.low &&
                    (ws.scaled_entropy_known || !scaled_entropy);
  const bool scaled = !rule.greedy() && !s.identity && !same;
  if (!ws.base_known && scaled && scaled_entropy) {
    weigh_in_ranges<T, true, true, true>(row, ws, s, rule.tau);
  } else if (!ws.base_known && scaled) {
    weigh_in_ranges<T, true, true, false>(row, ws, s, rule.tau);
  } else if (!ws.base_known) {
    weigh_in_ranges<T, true, false, false>(row, ws, s, 1.0);
  } else if (scaled && scaled_entropy) {
    weigh_in_ranges<T, false, true, true>(row, ws, s, rule.tau);
  } else if (scaled) {
    weigh_in_ranges<T, false, true, false>(row, ws, s, rule.tau);
  }
  ws.base_known = true;
  if (scaled) {
    ws.scaled_known = true;
    ws.scaled_entropy_known = scaled_entropy;
    ws.scaled_at = s;
  }
}

// Moments of the gaps below the maximum, in units of 2^-24, over the tokens within 1024 of it.
template <class T>
core::GapMoments gap_moments(const RowInput<T>& in, Workspace& ws) {
  const Row<T> row(in, ws);
  core::GapMoments total;
  alignas(64) float gap[kBlock];
  for (int64_t b = 0; b < row.blocks; ++b) {
    for (int64_t v = 0; v < kBlock; v += Simd::kLanes)
      Simd::store(gap + v, Simd::sub(row.lanes(b, v), Simd::set(ws.top)));
    for (int64_t i = 0; i < kBlock; ++i) {
      if (gap[i] >= -core::kSigmaRange) total.add(core::gap_of(gap[i]));
    }
  }
  return total;
}
