// Powers of the weights of survivors, for p_less. Included inside the namespace of each build,
// after row_prefix.h.

// Adds up (mass / 2^43)^order in the order of ids: squares as integers, other powers as doubles.
class Powers {
 public:
  explicit Powers(double order) : order_(order) {}

  void add(const uint64_t* weight, int64_t n) {
    if (order_ == 2.0) {
      for (int64_t i = 0; i < n; ++i) squares_ += core::squared(weight[i]);
    } else {
      for (int64_t i = 0; i < n; ++i) powers_ += core::mass_power(weight[i], order_);
    }
  }
  double log() const {
    return order_ == 2.0 ? core::log_squares(squares_) : core::log_positive(powers_);
  }

 private:
  double order_, powers_ = 0.0;
  core::u128 squares_ = 0;
};

// ln of the powers of all tokens of a row.
template <class T>
double log_powers_of_row(const RowInput<T>& in, Workspace& ws, const core::Scale& scale, double tau,
                         double order) {
  const Row<T> row(in, ws);
  const Weighing weighing(ws.top, scale);
  const float skip = ws.top + core::kNoMass * static_cast<float>(larger(1.0, tau));
  Powers powers(order);
  uint64_t weight[kBlock];
  for (int64_t b = 0; b < row.blocks; ++b) {
    if (ws.block_max[b] < skip) continue;  // nothing here has mass
    for (int64_t v = 0; v < kBlock; v += Simd::kLanes) {
      const Simd::F x = row.lanes(b, v);
      const Simd::F t = scale.identity ? weighing.gap<false>(x) : weighing.gap<true>(x);
      const Simd::Words bits = Simd::weight_bits(Simd::widen(exp_lanes(t)), core::kMassMagic);
      Simd::store_weights(weight + v, bits, core::kMassMagic);
    }
    powers.add(weight, kBlock);
  }
  return powers.log();
}

// Between which thresholds p_less of order 2 cuts, by the estimate of the weighing pass.
struct SquareCuts {
  double low, high;

  SquareCuts(const Workspace& ws, const core::Rule& rule, const core::Survivors& s) {
    const auto cut = [&](double share) {
      return core::p_less_cut(rule, s, ws.top, core::log_positive(ws.squares * share));
    };
    low = cut(1.0 - kSquareError);
    high = cut(1.0 + kSquareError);
  }
};

// Whether no logit of the list lies below.
inline bool list_starts_at(const Workspace& ws, double low) {
  float least, most;
  list_range(ws, least, most);
  return static_cast<double>(least) >= low;
}
