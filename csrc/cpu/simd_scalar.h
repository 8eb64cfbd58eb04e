// Lanes of the row kernel, one at a time: the baseline build and the documentation of what a Simd
// offers. Every build computes the same bits: fma is fused everywhere and sums are integers.

struct Simd : PortableSelect {
  static constexpr int kLanes = 1;
  using F = float;      // kLanes floats
  using M = uint32_t;   // one bit a lane
  using Wide = double;  // kLanes numbers on the way to doubles
  using Words = uint64_t;
  // Integers with the operators of the language, and the product of their low 32 bits.
  typedef uint64_t Word __attribute__((vector_size(16)));
  // a * b + c of doubles; fused where the instruction set has it, so not the same bits everywhere.
  template <class Real>
  static Real madd(Real a, Real b, Real c) {
    return a * b + c;
  }
  static Word multiply(Word a, Word b) { return (a & 0xffffffffu) * (b & 0xffffffffu); }
  // The nearest integers (ties to even) of lanes in [0, 2^31), two in each word.
  static Word round_pairs(F a) { return Word{static_cast<uint64_t>(__builtin_lrintf(a)), 0}; }

  static F set(float v) { return v; }
  // Loads kLanes logits and converts them to float32, exactly.
  static F load(const float* p) { return *p; }
  static F load(const c10::BFloat16* p) { return static_cast<float>(*p); }
  static F load(const c10::Half* p) { return static_cast<float>(*p); }
  // Puts -inf where the token is not allowed (flags from this lane on; bit `lane` of a row of
  // words).
  static F allow(F x, const bool* allowed) { return *allowed ? x : -INFINITY; }
  static F allow_bits(F x, const uint32_t* words, int64_t lane) {
    return (words[lane >> 5] >> (lane & 31)) & 1u ? x : -INFINITY;
  }

  static void store(float* p, F a) { *p = a; }
  static F add(F a, F b) { return a + b; }
  static F sub(F a, F b) { return a - b; }
  static F mul(F a, F b) { return a * b; }
  static F fma(F a, F b, F c) { return __builtin_fmaf(a, b, c); }
  static F max(F a, F b) { return a > b ? a : b; }
  // a * 2^n, where the low mantissa bits of magic_n hold n; no overflow, no subnormal.
  static F scale_by_exponent(F a, F magic_n) {
    return core::bit_cast<float>(core::bit_cast<uint32_t>(a) +
                                 (core::bit_cast<uint32_t>(magic_n) << 23));
  }
  static F min(F a, F b) { return a < b ? a : b; }
  static float reduce_add(F a) { return a; }
  static float reduce_max(F a) { return a; }
  static float reduce_min(F a) { return a; }

  static M between(F x, F lo, F hi) { return x >= lo && x <= hi; }
  static M at_least(F x, F y) { return x >= y; }
  static M equal(F x, F y) { return x == y; }
  static uint32_t lanes(M m) { return m; }
  static F only(F a, M lanes) { return lanes ? a : 0.0f; }  // 0 in the other lanes
  static M but_not(M a, M b) { return a & ~b; }

  // Largest bit pattern of |x|: above that of infinity there is a NaN.
  struct Magnitude {
    uint32_t value = 0;
    void add(F x) {
      const uint32_t bits = core::bit_cast<uint32_t>(x) & 0x7fffffffu;
      value = bits > value ? bits : value;
    }
    uint32_t get() const { return value; }
  };

  // Weights, and -t for t <= 0, as weight_bits and product_bits take them.
  static Wide widen(F w) { return w; }
  static Wide widen_gap(F t) { return -t; }
  static Words zero_words() { return 0; }
  // RNE(w * 2^43), and RNE(-w * t * 2^43), in the bits of a double near `magic` (fixed_point.h).
  static Words weight_bits(Wide w, double magic) { return core::bit_cast<uint64_t>(w + magic); }
  static Words product_bits(Wide w, Wide gap, double magic) {
    // The product of two floats is exact in a double.
    return core::bit_cast<uint64_t>(magic + w * gap);
  }
  static void add_words(Words& sum, Words bits) { sum += bits; }
  static void add_words(Words& sum, Words bits, M lanes) { sum += lanes ? bits : 0; }
  static uint64_t reduce_words(Words sum) { return sum; }
  static void store_weights(uint64_t* out, Words bits, double magic) {
    *out = bits - core::bit_cast<uint64_t>(magic);
  }

  // Appends the kept lanes; may write up to kLanes entries. Returns how many were kept.
  static int compress(float* x, F v, M keep) {
    *x = v;
    return static_cast<int>(keep);
  }
};
