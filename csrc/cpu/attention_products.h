// Products and weights of attention: a lane is a query, and the queries of a block lie side by side
// in the rows of all buffers. Included once per instruction set, inside its namespace and under its
// target pragma, after its row_kernel.h.

constexpr int kLanesOfQueries = Simd::kLanes;
constexpr int kQueries = 2 * kLanesOfQueries;  // of a block: rows of all buffers
// Numbers that are multiplied with the queries in one go: twice as many sums fill the registers.
constexpr int kAtOnce = kLanesOfQueries == 16 ? 12 : 6;

// out[j][q] = Σ_i a[i][q] · b[j · across + i · along] for j < N and kVectors · kLanes queries.
template <int N, int kVectors>
static inline void multiply_some(const float* a, int64_t n, const float* b, int64_t across,
                                 int64_t along, float* out) {
  Simd::F sum[N][kVectors];
  for (int j = 0; j < N; ++j)
    for (int v = 0; v < kVectors; ++v) sum[j][v] = Simd::set(0.0f);
  for (int64_t i = 0; i < n; ++i) {
    Simd::F x[kVectors];
    for (int v = 0; v < kVectors; ++v) x[v] = Simd::load(a + i * kQueries + v * kLanesOfQueries);
    for (int j = 0; j < N; ++j) {
      const Simd::F y = Simd::set(b[j * across + i * along]);
      for (int v = 0; v < kVectors; ++v) sum[j][v] = Simd::fma(x[v], y, sum[j][v]);
    }
  }
  for (int j = 0; j < N; ++j)
    for (int v = 0; v < kVectors; ++v)
      Simd::store(out + j * kQueries + v * kLanesOfQueries, sum[j][v]);
}

// The same for j < count.
template <int kVectors>
static void multiply(const float* a, int64_t n, const float* b, int64_t across, int64_t along,
                     int64_t count, float* out) {
  int64_t j = 0;
  for (; j + kAtOnce <= count; j += kAtOnce)
    multiply_some<kAtOnce, kVectors>(a, n, b + j * across, across, along, out + j * kQueries);
  for (; j + 3 <= count; j += 3)
    multiply_some<3, kVectors>(a, n, b + j * across, across, along, out + j * kQueries);
  for (; j < count; ++j)
    multiply_some<1, kVectors>(a, n, b + j * across, across, along, out + j * kQueries);
}

// scores[j][q] = Σ_i queries[q][i] · keys[j][i] for N queries and n keys.
template <int N>
static inline void score_some(const float* queries, int64_t dim, const float* keys, int64_t step,
                              int64_t n, float* scores) {
  for (int64_t j = 0; j < n; ++j, keys += step, scores += kQueries) {
    Simd::F sum[N];
    for (int q = 0; q < N; ++q) sum[q] = Simd::set(0.0f);
    int64_t i = 0;
    for (; i + kLanesOfQueries <= dim; i += kLanesOfQueries) {
      const Simd::F y = Simd::load(keys + i);
      for (int q = 0; q < N; ++q) sum[q] = Simd::fma(Simd::load(queries + q * dim + i), y, sum[q]);
    }
    for (int q = 0; q < N; ++q) scores[q] = Simd::reduce_add(sum[q]);
    for (; i < dim; ++i)
      for (int q = 0; q < N; ++q)
        scores[q] = __builtin_fmaf(queries[q * dim + i], keys[i], scores[q]);
  }
}

// out[i] += Σ_j w[j · kQueries] · v[j · step + i] for i < N · kLanes.
template <int N>
static inline void add_weighted(const float* w, const float* v, int64_t step, int64_t n,
                                float* out) {
  Simd::F sum[N];
  for (int i = 0; i < N; ++i) sum[i] = Simd::load(out + i * kLanesOfQueries);
  for (int64_t j = 0; j < n; ++j) {
    const Simd::F x = Simd::set(w[j * kQueries]);
    for (int i = 0; i < N; ++i)
      sum[i] = Simd::fma(x, Simd::load(v + j * step + i * kLanesOfQueries), sum[i]);
  }
  for (int i = 0; i < N; ++i) Simd::store(out + i * kLanesOfQueries, sum[i]);
}

// Turns the scores of a vector of queries into weights e^(s - max); returns their sum. A score of
// -inf weighs nothing; NaN and +inf make all of its query NaN.
static Simd::F weigh(float* scores, int64_t n) {
  const Simd::F zero = Simd::set(0.0f), lowest = Simd::set(-FLT_MAX);
  const Simd::F least = Simd::set(core::Exp32::kMin);
  Simd::F top = Simd::set(-INFINITY), bad = zero, sum = zero;
  for (int64_t i = 0; i < n; ++i) {
    const Simd::F s = Simd::load(scores + i * kQueries);
    bad = Simd::fma(zero, Simd::max(lowest, s), bad);  // max returns a NaN that comes second
    top = Simd::max(s, top);
  }
  for (int64_t i = 0; i < n; ++i) {
    const Simd::F t = Simd::sub(Simd::load(scores + i * kQueries), top);
    const Simd::F e = exp_lanes(Simd::max(Simd::min(t, zero), least));
    const Simd::F weight = Simd::only(e, Simd::at_least(t, least));
    Simd::store(scores + i * kQueries, weight);
    sum = Simd::add(sum, weight);
  }
  return Simd::add(sum, bad);
}
