// The pass that turns logits into integer masses. Included inside the namespace of each build,
// after row_scan.h.

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
    Simd::add_words(mass, Simd::weight_bits(w, core::kMassMagic));
    if constexpr (kEntropy)
      Simd::add_words(entropy, Simd::product_bits(w, Simd::widen(t), core::kMassMagic));
  }
  // Adds some lanes to `inside` as well (their entropy when wanted) and stores nothing.
  template <bool kInsideEntropy>
  void add_watched(Simd::F t, MassSum& inside, Simd::M lanes) {
    const Simd::Wide w = Simd::widen(exp_lanes(t));
    const Simd::Words weights = Simd::weight_bits(w, core::kMassMagic);
    const Simd::Words products = Simd::product_bits(w, Simd::widen(t), core::kMassMagic);
    Simd::add_words(mass, weights);
    Simd::add_words(entropy, products);
    Simd::add_words(inside.mass, weights, lanes);
    if constexpr (kInsideEntropy) Simd::add_words(inside.entropy, products, lanes);
  }
  static uint64_t total(const Simd::Words& words, int64_t lanes_added) {
    return Simd::reduce_words(words) -
           static_cast<uint64_t>(lanes_added) * core::bit_cast<uint64_t>(core::kMassMagic);
  }
};

// Weighs blocks [first, last): the base law, the scaled one, or both in one read. Chunk masses
// serve the draw.
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
      if constexpr (kScaledEntropy) scaled.entropy += MassSum::total(scaled_sum.entropy, added);
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

// Makes the masses of the base law, and of the scaled one where it differs, known; keeps what is
// known already.
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
