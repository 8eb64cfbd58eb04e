// Lanes of the row kernel on AVX2 with FMA and F16C. Included inside the namespace of its build,
// under its target pragma, after words_avx2.h; simd_scalar.h documents the names.

struct Simd : Avx2Words {
  static constexpr int kLanes = 8;
  typedef uint64_t Word __attribute__((vector_size(32)));

  static __m256d madd(__m256d a, __m256d b, __m256d c) { return _mm256_fmadd_pd(a, b, c); }
  static Word multiply(Word a, Word b) {
    const __m256i low =
        _mm256_mul_epu32(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b));
    return reinterpret_cast<Word>(low);
  }
  static Word round_pairs(F a) { return reinterpret_cast<Word>(_mm256_cvtps_epi32(a)); }
  static F set(float v) { return _mm256_set1_ps(v); }
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static F load(const c10::BFloat16* p) {
    const __m128i half = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
  }
  static F load(const c10::Half* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static F allow(F x, const bool* allowed) {
    const __m128i flags = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(allowed));
    const __m256i absent = _mm256_cmpeq_epi32(_mm256_cvtepu8_epi32(flags), _mm256_setzero_si256());
    return _mm256_blendv_ps(x, set(-INFINITY), _mm256_castsi256_ps(absent));
  }
  static F allow_bits(F x, const uint32_t* words, int64_t lane) {
    const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const auto byte = static_cast<int>((words[lane >> 5] >> (lane & 31)) & 0xffu);
    const __m256i absent =
        _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32(byte), bit), _mm256_setzero_si256());
    return _mm256_blendv_ps(x, set(-INFINITY), _mm256_castsi256_ps(absent));
  }

  static void store(float* p, F a) { _mm256_storeu_ps(p, a); }
  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static F scale_by_exponent(F a, F magic_n) {
    const __m256i n = _mm256_slli_epi32(_mm256_castps_si256(magic_n), 23);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(a), n));
  }
  static F min(F a, F b) { return _mm256_min_ps(a, b); }
  static float reduce_add(F a) {
    __m128 v = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    v = _mm_add_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_add_ss(v, _mm_movehdup_ps(v)));
  }
  static float reduce_min(F a) { return -reduce_max(_mm256_xor_ps(a, set(-0.0f))); }
  static float reduce_max(F a) {
    __m128 v = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    v = _mm_max_ps(v, _mm_movehl_ps(v, v));
    return _mm_cvtss_f32(_mm_max_ss(v, _mm_movehdup_ps(v)));
  }

  static M between(F x, F lo, F hi) {
    return static_cast<M>(_mm256_movemask_ps(
        _mm256_and_ps(_mm256_cmp_ps(x, lo, _CMP_GE_OQ), _mm256_cmp_ps(x, hi, _CMP_LE_OQ))));
  }
  static M at_least(F x, F y) {
    return static_cast<M>(_mm256_movemask_ps(_mm256_cmp_ps(x, y, _CMP_GE_OQ)));
  }
  static M equal(F x, F y) {
    return static_cast<M>(_mm256_movemask_ps(_mm256_cmp_ps(x, y, _CMP_EQ_OQ)));
  }
  static uint32_t lanes(M m) { return m; }
  static F only(F a, M lanes) {
    const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i kept = _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(lanes)), bit);
    return _mm256_and_ps(a, _mm256_castsi256_ps(_mm256_cmpeq_epi32(kept, bit)));
  }
  static M but_not(M a, M b) { return a & ~b; }

  struct Magnitude {
    __m256i value;
    Magnitude() : value(_mm256_setzero_si256()) {}
    void add(F x) {
      const __m256i bits = _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff));
      value = _mm256_max_epi32(value, bits);
    }
    uint32_t get() const {
      alignas(32) uint32_t lane[8];
      _mm256_store_si256(reinterpret_cast<__m256i*>(lane), value);
      uint32_t best = 0;
      for (uint32_t v : lane) best = v > best ? v : best;
      return best;
    }
  };

  static int compress(float* x, F v, M keep) {
    if (keep == 0) return 0;
    alignas(32) float lane[8];
    _mm256_store_ps(lane, v);
    int kept = 0;
    for (M m = keep; m != 0; m &= m - 1) x[kept++] = lane[__builtin_ctz(m)];
    return kept;
  }
};
