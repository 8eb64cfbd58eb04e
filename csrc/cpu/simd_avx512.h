// Lanes of the row kernel on AVX-512 (F, BW, DQ, VL). Included inside the namespace of its build,
// under its target pragma; simd_avx2.h and simd_scalar.h offer the same names, and simd_scalar.h
// documents them. Not split: one
// instruction set is one concept.

struct Simd {
  static constexpr int kLanes = 16;
  using F = __m512;
  using M = __mmask16;
  typedef uint64_t Word __attribute__((vector_size(64)));
  struct Words {  // bits of 16 doubles, summed as integers
    __m512i low, high;
  };
  struct Wide {
    __m512d low, high;
  };

  static __m512d madd(__m512d a, __m512d b, __m512d c) { return _mm512_fmadd_pd(a, b, c); }
  static Word multiply(Word a, Word b) {
    const __m512i low =
        _mm512_mul_epu32(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b));
    return reinterpret_cast<Word>(low);
  }
  static F set(float v) { return _mm512_set1_ps(v); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static F load(const c10::BFloat16* p) {
    const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
  }
  static F load(const c10::Half* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static F allow(F x, const bool* allowed) {
    const __m128i flags = _mm_loadu_si128(reinterpret_cast<const __m128i*>(allowed));
    return _mm512_mask_blend_ps(_mm_test_epi8_mask(flags, flags), set(-INFINITY), x);
  }
  static F allow_bits(F x, const uint32_t* words, int64_t lane) {
    const auto keep = static_cast<M>(words[lane >> 5] >> (lane & 31));
    return _mm512_mask_blend_ps(keep, set(-INFINITY), x);
  }

  static void store(float* p, F a) { _mm512_storeu_ps(p, a); }
  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F scale_by_exponent(F a, F magic_n) {
    const __m512i n = _mm512_slli_epi32(_mm512_castps_si512(magic_n), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), n));
  }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }
  static float reduce_max(F a) { return _mm512_reduce_max_ps(a); }
  static float reduce_min(F a) { return _mm512_reduce_min_ps(a); }

  static M between(F x, F lo, F hi) {
    return _mm512_mask_cmp_ps_mask(_mm512_cmp_ps_mask(x, lo, _CMP_GE_OQ), x, hi, _CMP_LE_OQ);
  }
  static M at_least(F x, F y) { return _mm512_cmp_ps_mask(x, y, _CMP_GE_OQ); }
  static M equal(F x, F y) { return _mm512_cmp_ps_mask(x, y, _CMP_EQ_OQ); }
  static uint32_t lanes(M m) { return m; }
  static F only(F a, M lanes) { return _mm512_maskz_mov_ps(lanes, a); }
  static M but_not(M a, M b) { return static_cast<M>(a & ~b); }

  // Largest bit pattern of |x|: above that of infinity there is a NaN.
  struct Magnitude {
    __m512i value;
    Magnitude() : value(_mm512_setzero_si512()) {}
    void add(F x) {
      const __m512i bits = _mm512_and_si512(_mm512_castps_si512(x), _mm512_set1_epi32(0x7fffffff));
      value = _mm512_max_epi32(value, bits);
    }
    uint32_t get() const { return static_cast<uint32_t>(_mm512_reduce_max_epi32(value)); }
  };

  // A positive float's bits, moved up by the difference of the mantissas, are a double 2^896 times
  // too small; the even and the odd lanes come apart in the same multiplication. Cheaper here than
  // four conversions; what follows puts the factor back.
  static Wide widen(F a) {
    const __m512i bits = _mm512_castps_si512(a), up = _mm512_set1_epi64(int64_t{1} << 29);
    return {_mm512_castsi512_pd(_mm512_mul_epu32(bits, up)),
            _mm512_castsi512_pd(_mm512_mul_epu32(_mm512_srli_epi64(bits, 32), up))};
  }
  // -t for t <= 0, times 2^896.
  static Wide widen_gap(F t) {
    const __m512i scale = _mm512_set1_epi64(int64_t{2 * 896} << 52);
    const Wide w = widen(_mm512_abs_ps(t));
    return {_mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(w.low), scale)),
            _mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(w.high), scale))};
  }
  static Words zero_words() { return {_mm512_setzero_si512(), _mm512_setzero_si512()}; }
  static Words weight_bits(const Wide& w, double magic) {
    const __m512d c = _mm512_set1_pd(magic), back = _mm512_set1_pd(0x1p896);
    return {_mm512_castpd_si512(_mm512_fmadd_pd(w.low, back, c)),
            _mm512_castpd_si512(_mm512_fmadd_pd(w.high, back, c))};
  }
  static Words product_bits(const Wide& w, const Wide& gap, double magic) {
    const __m512d c = _mm512_set1_pd(magic);
    return {_mm512_castpd_si512(_mm512_fmadd_pd(w.low, gap.low, c)),
            _mm512_castpd_si512(_mm512_fmadd_pd(w.high, gap.high, c))};
  }
  static void add_words(Words& sum, const Words& bits) {
    sum.low = _mm512_add_epi64(sum.low, bits.low);
    sum.high = _mm512_add_epi64(sum.high, bits.high);
  }
  static void add_words(Words& sum, const Words& bits, M lanes) {
    const auto even = static_cast<__mmask8>(_pext_u32(lanes, 0x5555u));
    const auto odd = static_cast<__mmask8>(_pext_u32(lanes, 0xaaaau));
    sum.low = _mm512_mask_add_epi64(sum.low, even, sum.low, bits.low);
    sum.high = _mm512_mask_add_epi64(sum.high, odd, sum.high, bits.high);
  }
  static uint64_t reduce_words(const Words& sum) {
    return static_cast<uint64_t>(_mm512_reduce_add_epi64(_mm512_add_epi64(sum.low, sum.high)));
  }
  static void store_weights(uint64_t* out, const Words& bits, double magic) {
    const __m512i origin = _mm512_castpd_si512(_mm512_set1_pd(magic));
    const __m512i even = _mm512_sub_epi64(bits.low, origin),
                  odd = _mm512_sub_epi64(bits.high, origin);
    const __m512i first = _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0);
    const __m512i second = _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4);
    _mm512_storeu_si512(out, _mm512_permutex2var_epi64(even, first, odd));
    _mm512_storeu_si512(out + 8, _mm512_permutex2var_epi64(even, second, odd));
  }

  struct Gaps {  // moments of gaps, see core::GapMoments
    __m512i sum, square, square_low, square_high;
    Gaps() : sum(_mm512_setzero_si512()), square(sum), square_low(sum), square_high(sum) {}
    void add(F gap) {
      const __m512i q = _mm512_cvtps_epi32(mul(gap, Simd::set(-0x1p24f)));
      const __m512i odd = _mm512_srli_epi64(q, 32);
      sum = _mm512_add_epi64(sum, _mm512_add_epi64(_mm512_and_si512(q, low_half()), odd));
      square = _mm512_add_epi64(square, _mm512_mul_epu32(q, q));
      square = _mm512_add_epi64(square, _mm512_mul_epu32(odd, odd));
    }
    void settle() {
      square_low = _mm512_add_epi64(square_low, _mm512_and_si512(square, low_half()));
      square_high = _mm512_add_epi64(square_high, _mm512_srli_epi64(square, 32));
      square = _mm512_setzero_si512();
    }
    core::GapMoments get() const {
      core::GapMoments g;
      g.sum = static_cast<uint64_t>(_mm512_reduce_add_epi64(sum));
      g.square_low = static_cast<uint64_t>(_mm512_reduce_add_epi64(square_low));
      g.square_high = static_cast<uint64_t>(_mm512_reduce_add_epi64(square_high));
      return g;
    }
    static __m512i low_half() { return _mm512_set1_epi64(0xffffffff); }
  };

  static int compress(float* x, F v, M keep) {
    // Compressing in a register and storing: a compressing store is microcode on some machines. Few
    // lanes are kept as a rule, and half a store is half the work.
    const F packed = _mm512_maskz_compress_ps(keep, v);
    const int kept = __builtin_popcount(keep);
    if (kept <= 8) {
      _mm256_storeu_ps(x, _mm512_castps512_ps256(packed));
    } else {
      _mm512_storeu_ps(x, packed);
    }
    return kept;
  }

  // Sums the weights of the keys below and at the pivot.
  static void split_sums(const uint64_t* key, const uint64_t* weight, int64_t n, uint64_t pivot,
                         uint64_t& below, uint64_t& equal) {
    const __m512i p = _mm512_set1_epi64(static_cast<long long>(pivot));
    __m512i sum_below = _mm512_setzero_si512(), sum_equal = _mm512_setzero_si512();
    for (int64_t i = 0; i < n; i += 8) {
      const auto valid = static_cast<__mmask8>(n - i >= 8 ? 0xff : (1u << (n - i)) - 1);
      const __m512i k = _mm512_maskz_loadu_epi64(valid, key + i);
      const __m512i w = weight ? _mm512_maskz_loadu_epi64(valid, weight + i) : _mm512_set1_epi64(1);
      sum_below =
          _mm512_mask_add_epi64(sum_below, _mm512_mask_cmplt_epu64_mask(valid, k, p), sum_below, w);
      sum_equal =
          _mm512_mask_add_epi64(sum_equal, _mm512_mask_cmpeq_epu64_mask(valid, k, p), sum_equal, w);
    }
    below = static_cast<uint64_t>(_mm512_reduce_add_epi64(sum_below));
    equal = static_cast<uint64_t>(_mm512_reduce_add_epi64(sum_equal));
  }

  // Keeps, in place, the keys below (or above) the pivot with their weights; may write up to the
  // next multiple of 8.
  static int64_t partition(uint64_t* key, uint64_t* weight, int64_t n, uint64_t pivot, bool below) {
    const __m512i p = _mm512_set1_epi64(static_cast<long long>(pivot));
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i += 8) {
      const auto valid = static_cast<__mmask8>(n - i >= 8 ? 0xff : (1u << (n - i)) - 1);
      const __m512i k = _mm512_maskz_loadu_epi64(valid, key + i);
      const __mmask8 keep = below ? _mm512_mask_cmplt_epu64_mask(valid, k, p)
                                  : _mm512_mask_cmpgt_epu64_mask(valid, k, p);
      // Whole stores: masked ones are microcode on some machines, and what is written never passes
      // what has been read (kept <= i).
      const __m512i w = weight ? _mm512_maskz_loadu_epi64(valid, weight + i) : k;
      _mm512_storeu_si512(key + kept, _mm512_maskz_compress_epi64(keep, k));
      if (weight) _mm512_storeu_si512(weight + kept, _mm512_maskz_compress_epi64(keep, w));
      kept += __builtin_popcount(keep);
    }
    return kept;
  }

  // Which of eight weights are at least this heavy, one bit each.
  static uint32_t heavy(const uint64_t* weight, uint64_t least) {
    return _mm512_cmpge_epu64_mask(_mm512_loadu_si512(weight),
                                   _mm512_set1_epi64(static_cast<long long>(least)));
  }

  // Keeps, in place, the keys in [least, most], with their weights in weight_out; sums the weights
  // of the keys below.
  static int64_t extract(uint64_t* key, const uint64_t* weight, uint64_t* weight_out, int64_t n,
                         uint64_t least, uint64_t most, uint64_t& below) {
    const __m512i low = _mm512_set1_epi64(static_cast<long long>(least));
    const __m512i high = _mm512_set1_epi64(static_cast<long long>(most));
    __m512i sum = _mm512_setzero_si512();
    int64_t kept = 0;
    for (int64_t i = 0; i < n; i += 8) {
      const auto valid = static_cast<__mmask8>(n - i >= 8 ? 0xff : (1u << (n - i)) - 1);
      const __m512i k = _mm512_maskz_loadu_epi64(valid, key + i);
      const __m512i w = _mm512_maskz_loadu_epi64(valid, weight + i);
      const __mmask8 before = _mm512_mask_cmplt_epu64_mask(valid, k, low);
      const auto upto = _mm512_mask_cmple_epu64_mask(valid, k, high);
      const auto keep = static_cast<__mmask8>(upto & ~before);
      sum = _mm512_mask_add_epi64(sum, before, sum, w);
      if (keep == 0) continue;
      _mm512_storeu_si512(key + kept, _mm512_maskz_compress_epi64(keep, k));
      _mm512_storeu_si512(weight_out + kept, _mm512_maskz_compress_epi64(keep, w));
      kept += __builtin_popcount(keep);
    }
    below = static_cast<uint64_t>(_mm512_reduce_add_epi64(sum));
    return kept;
  }
};
