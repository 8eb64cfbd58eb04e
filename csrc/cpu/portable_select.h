// Weighted selection steps without vector compression (scalar and AVX2 builds). Included inside a
// build's namespace.

struct PortableSelect {
  // Sums the weights (1 each when there are none) of the keys below and at the pivot.
  static void split_sums(const uint64_t* key, const uint64_t* weight, int64_t n, uint64_t pivot,
                         uint64_t& below, uint64_t& equal) {
    below = equal = 0;
    for (int64_t i = 0; i < n; ++i) {
      const uint64_t w = weight ? weight[i] : 1;
      below += key[i] < pivot ? w : 0;
      equal += key[i] == pivot ? w : 0;
    }
  }

  // Keeps, in place, the keys below (or above) the pivot with their weights; returns how many.
  static int64_t partition(uint64_t* key, uint64_t* weight, int64_t n, uint64_t pivot, bool below) {
    int64_t kept = 0;
    for (int64_t i = 0; i < n; ++i) {
      const uint64_t k = key[i];
      key[kept] = k;
      if (weight) weight[kept] = weight[i];
      kept += below ? k < pivot : k > pivot;
    }
    return kept;
  }
};
