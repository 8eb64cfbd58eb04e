// Integer masses in lanes of doubles on AVX2. Included inside the namespace of its build, under its
// target pragma, after portable_select.h; simd_scalar.h documents the names.

struct Avx2Words : PortableSelect {
  using F = __m256;
  using M = uint32_t;
  struct Words {
    __m256i low, high;
  };
  struct Wide {
    __m256d low, high;
  };

  static Wide widen(F a) {
    return {_mm256_cvtps_pd(_mm256_castps256_ps128(a)),
            _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1))};
  }
  static Wide widen_gap(F t) { return widen(_mm256_xor_ps(t, _mm256_set1_ps(-0.0f))); }
  static Words zero_words() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
  static Words weight_bits(const Wide& w, double magic) {
    const __m256d c = _mm256_set1_pd(magic);
    return {_mm256_castpd_si256(_mm256_add_pd(w.low, c)),
            _mm256_castpd_si256(_mm256_add_pd(w.high, c))};
  }
  static Words product_bits(const Wide& w, const Wide& gap, double magic) {
    const __m256d c = _mm256_set1_pd(magic);
    return {_mm256_castpd_si256(_mm256_fmadd_pd(w.low, gap.low, c)),
            _mm256_castpd_si256(_mm256_fmadd_pd(w.high, gap.high, c))};
  }
  static void add_words(Words& sum, const Words& bits) {
    sum.low = _mm256_add_epi64(sum.low, bits.low);
    sum.high = _mm256_add_epi64(sum.high, bits.high);
  }
  static void add_words(Words& sum, const Words& bits, M lanes) {
    sum.low = _mm256_add_epi64(sum.low, _mm256_and_si256(bits.low, quad_mask(lanes)));
    sum.high = _mm256_add_epi64(sum.high, _mm256_and_si256(bits.high, quad_mask(lanes >> 4)));
  }
  static __m256i quad_mask(M lanes) {
    const __m256i bit = _mm256_setr_epi64x(1, 2, 4, 8);
    const __m256i all = _mm256_set1_epi64x(static_cast<long long>(lanes & 15u));
    return _mm256_cmpeq_epi64(_mm256_and_si256(all, bit), bit);
  }
  static uint64_t reduce_quads(__m256i v) {
    alignas(32) uint64_t lane[4];
    _mm256_store_si256(reinterpret_cast<__m256i*>(lane), v);
    return lane[0] + lane[1] + lane[2] + lane[3];
  }
  static uint64_t reduce_words(const Words& sum) {
    return reduce_quads(_mm256_add_epi64(sum.low, sum.high));
  }
  static void store_weights(uint64_t* out, const Words& bits, double magic) {
    const __m256i origin = _mm256_castpd_si256(_mm256_set1_pd(magic));
    auto* p = reinterpret_cast<__m256i*>(out);
    _mm256_storeu_si256(p, _mm256_sub_epi64(bits.low, origin));
    _mm256_storeu_si256(p + 1, _mm256_sub_epi64(bits.high, origin));
  }
};
