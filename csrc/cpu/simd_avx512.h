// Lanes of the row kernel on AVX-512 (F, BW, DQ, VL). Included inside the namespace of its build,
// under its target pragma, after select_avx512.h; simd_avx2.h and simd_scalar.h offer the same
// names, and simd_scalar.h documents them.

struct Simd : Avx512Select {
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
  static Word round_pairs(F a) { return reinterpret_cast<Word>(_mm512_cvtps_epi32(a)); }
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
  static float reduce_add(F a) { return _mm512_reduce_add_ps(a); }
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
};
