// Weighted selection steps on AVX-512; portable_select.h offers the same names to the other builds.
// Included inside the namespace of its build.

struct Avx512Select {
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
