// From logits to integer masses, lane by lane. Included inside the namespace of each build, after
// its Simd.

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

  // Returns the weights.
  template <bool kEntropy>
  Simd::F add(Simd::F t) {
    const Simd::F weights = exp_lanes(t);
    const Simd::Wide w = Simd::widen(weights);
    Simd::add_words(mass, Simd::weight_bits(w, core::kMassMagic));
    if constexpr (kEntropy)
      Simd::add_words(entropy, Simd::product_bits(w, Simd::widen_gap(t), core::kMassMagic));
    return weights;
  }
  // Adds some lanes to `inside` as well (their entropy when wanted) and stores nothing.
  template <bool kInsideEntropy>
  Simd::F add_watched(Simd::F t, MassSum& inside, Simd::M lanes) {
    const Simd::F e = exp_lanes(t);
    const Simd::Wide w = Simd::widen(e);
    const Simd::Words weights = Simd::weight_bits(w, core::kMassMagic);
    const Simd::Words products = Simd::product_bits(w, Simd::widen_gap(t), core::kMassMagic);
    Simd::add_words(mass, weights);
    Simd::add_words(entropy, products);
    Simd::add_words(inside.mass, weights, lanes);
    if constexpr (kInsideEntropy) Simd::add_words(inside.entropy, products, lanes);
    return e;
  }
  static uint64_t total(const Simd::Words& words, int64_t lanes_added) {
    return Simd::reduce_words(words) -
           static_cast<uint64_t>(lanes_added) * core::bit_cast<uint64_t>(core::kMassMagic);
  }
};

// Squares of a block's weights are added up in float32, those of blocks in float64: so far may
// their sum be off, as a share of it.
constexpr double kSquareError = 0x1p-24 * (kBlock / Simd::kLanes + 8);

// exp32 of n numbers (a multiple of kLanes) as the kernel computes it, for tests.
inline void exp_array(const float* t, float* out, int64_t n) {
  for (int64_t i = 0; i < n; i += Simd::kLanes) Simd::store(out + i, exp_lanes(Simd::load(t + i)));
}
