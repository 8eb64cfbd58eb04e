// Random numbers of one chain: included once per instruction set, after philox_lanes.h. Positions
// lie across the lanes.

static void draw_uniforms(uint64_t seed, uint64_t sequence, int64_t first, int64_t count,
                          double* out) {
  constexpr int kAtOnce = kTurns * kWidth;
  static_assert(kChainSteps % kAtOnce == 0);  // what is drawn beyond count has room
  for (int64_t n = 0; n < count; n += kAtOnce) {
    PhiloxWords w[kTurns];
#pragma GCC unroll 8
    for (int i = 0; i < kTurns; ++i) {
      const auto position = static_cast<uint64_t>(first + n + i * kWidth);
      w[i] = chain_counter(Word{} + sequence, lane_numbers() + position);
    }
    philox_rounds(seed, w, [](int) {});
#pragma GCC unroll 8
    for (int i = 0; i < kTurns; ++i) store(out + n + i * kWidth, philox_uniform(w[i]));
  }
}

static void fill_log_u(const double* uniforms, uint64_t seed, uint64_t sequence, int64_t first,
                       int64_t count, double* log_u) {
  if (uniforms) {
    for (int64_t i = 0; i < count; ++i) log_u[i] = core::log_uniform(uniforms[i]);
    return;
  }
  draw_uniforms(seed, sequence, first, count, log_u);
  for (int64_t i = 0; i < count; ++i) log_u[i] = core::log_uniform(log_u[i]);
}
