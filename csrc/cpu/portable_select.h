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

  // Which of eight weights are at least this heavy, one bit each.
  static uint32_t heavy(const uint64_t* weight, uint64_t least) {
    uint32_t found = 0;
    for (int i = 0; i < 8; ++i) found |= static_cast<uint32_t>(weight[i] >= least) << i;
    return found;
  }

  // Keeps, in place, the keys in [least, most], with their weights in weight_out; sums the weights
  // of the keys below.
  static int64_t extract(uint64_t* key, const uint64_t* weight, uint64_t* weight_out, int64_t n,
                         uint64_t least, uint64_t most, uint64_t& below) {
    int64_t kept = 0;
    below = 0;
    for (int64_t i = 0; i < n; ++i) {
      const uint64_t k = key[i], w = weight[i];
      key[kept] = k;
      weight_out[kept] = w;
      kept += k >= least && k <= most;
      below += k < least ? w : 0;
    }
    return kept;
  }
};
