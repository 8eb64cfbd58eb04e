// Where a sample of a row says that its only stage will cut, give or take. Included inside the
// namespace of each build, after row_moments.h.

// Certainly kept: [inner_low, inner_high]. Undecided: the rest of [low, high].
struct Band {
  float low, inner_low, inner_high, high;
};

constexpr int64_t kWatchFrom = 16384;  // shorter rows are not worth a sample
constexpr double kWideShare =
    1.0 / 24;                         // of the row: where a threshold keeps less, a list is cheaper
constexpr double kWidestBand = 0.15;  // of the row
constexpr double kSigmas = 2.25;      // of the sampling error

// Where a sample of the row says that the only stage will cut.
template <class T>
class Forecast {
 public:
  Forecast(const RowInput<T>& in, Workspace& ws, const core::Rule& rule) : ws_(ws), rule_(rule) {
    sample_ = sample_row(in, ws);
    weigh_sample(ws, rule.scale, sample_);
    const Moments exact = moments_of(ws, rule.scale, 0, sample_.exact),
                  rest = moments_of(ws, rule.scale, sample_.exact, ws.list_size);
    const double times = as_double(sample_.share);
    const double mass = exact.w + times * rest.w;
    mean_ = (exact.wt + times * rest.wt) / mass;
    mass_ = mass * as_double(core::kMassOne);
    squares_ = exact.w2 + times * rest.w2;
    // Of the estimated part: sums of squared shares, and of their squared distances from the mean.
    const double square = times * times / (mass * mass) * rest.w2;
    const double spread =
        times * times / (mass * mass) * (rest.w2t2 + mean_ * (mean_ * rest.w2 - 2.0 * rest.w2t));
    mass_error_ = kSigmas * sqrt(square);
    mean_error_ = kSigmas * sqrt(larger(spread, 0.0)) + 1e-6;
  }

  // False when the kept set looks narrow, or the sample too small to say.
  bool band(core::Stage stage, Band& band) {
    if (!(mass_error_ < 0.5)) return false;
    const float most = FLT_MAX;
    if (stage == core::kTopP) {
      band = {mass_cut(shifted(rule_.top_p, 1.0)), mass_cut(shifted(rule_.top_p, -1.0)), most,
              most};
    } else if (stage == core::kTypical) {
      centre_ = static_cast<double>(ws_.top) - rule_.tau * mean_;
      const double slack = rule_.tau * mean_error_;
      const double inner = radius(shifted(rule_.typical_p, -1.0)) - slack;
      const double outer = radius(shifted(rule_.typical_p, 1.0)) + slack;
      if (!(inner > 0.0)) return false;
      band = {float_at_most(centre_ - outer), static_cast<float>(centre_ - inner),
              static_cast<float>(centre_ + inner), float_at_least(centre_ + outer)};
    } else if (stage == core::kTopH) {
      const double whole = weigh_terms(), p = rule_.top_h, error = part_error(p);
      band = {cut_at(whole * (p + error), whole), cut_at(whole * (p - error), whole), most, most};
    } else if (stage == core::kPLess) {
      if (rule_.p_less != 2.0) return false;
      const core::Survivors s{static_cast<uint64_t>(mass_), 0, ws_.top, 0};
      const double cut = core::p_less_cut(rule_, s, ws_.top, log(squares_));
      const double slack = rule_.tau * (1.2 * mass_error_ + 1e-4);
      band = {float_at_least(cut - slack), float_at_least(cut + slack), most, most};
    } else {
      const core::Survivors s{static_cast<uint64_t>(mass_), static_cast<uint64_t>(mean_ * mass_),
                              ws_.top, 0};
      const double cut = core::closed_cut(rule_, stage, s, ws_.top);
      const double slack =
          stage == core::kMinP ? 0.0 : rule_.tau * (2.0 * mass_error_ + mean_error_);
      band = {float_at_least(cut - slack), float_at_least(cut + slack), most, most};
    }
    return worthwhile(band, stage == core::kPLess ? kWideShare / 4 : kWideShare);
  }

  // A logit above which the prefix surely ends, or nearly so: three quarters of what it leaves out
  // lie below.
  float floor(core::Stage stage) {
    if (stage == core::kTopH) {
      const double whole = weigh_terms(), p = rule_.top_h;
      return cut_at(whole * (p + part_error(p) + 0.02), whole);
    }
    const bool descending = stage == core::kTopP;
    const double p = descending ? rule_.top_p : rule_.typical_p;
    const double limit = mass_ * (1.0 - 0.75 * (1.0 - p));
    if (descending) return mass_cut(limit);
    centre_ = static_cast<double>(ws_.top) - rule_.tau * mean_;
    return float_at_most(centre_ - radius(limit) - rule_.tau * mean_error_);
  }

 private:
  // Of the sampled rest, the part in [low, high].
  double share(float low, float high) const {
    const Simd::F lo = Simd::set(low), hi = Simd::set(high);
    int64_t inside = 0;
    for (int64_t i = sample_.exact; i + Simd::kLanes <= ws_.list_size; i += Simd::kLanes)
      inside += __builtin_popcount(Simd::lanes(Simd::between(Simd::load(ws_.list_x + i), lo, hi)));
    return static_cast<double>(inside) / static_cast<double>(ws_.list_size - sample_.exact + 1);
  }
  bool worthwhile(const Band& band, double wide) const {
    const double inner = share(band.inner_low, band.inner_high);
    return inner > wide && share(band.low, band.high) - inner < kWidestBand;
  }
  // Mass of a prefix, moved by the sampling error.
  double shifted(double p, double direction) const {
    return mass_ * (p + direction * mass_error_ * sqrt(p * (1.0 - p)));
  }
  // The same of a part of the entropy, as a share.
  double part_error(double p) const { return 1.5 * mass_error_ * sqrt(p * (1.0 - p)) + 1e-4; }
  // Makes the weights of the sample terms of the entropy; returns their sum.
  double weigh_terms() {
    const double log_mass = log(mass_ * core::kMassUnit);
    uint64_t total = 0;
    for (int64_t i = 0; i < ws_.list_size; ++i) {
      const float t = core::scaled_gap(ws_.list_x[i] - ws_.top, rule_.scale);
      const double term = as_double(ws_.list_weight[i]) * (log_mass - static_cast<double>(t));
      total += ws_.list_weight[i] = static_cast<uint64_t>(term * 0x1p-5);
    }
    ws_.list_mass = total;
    return as_double(total);
  }
  float mass_cut(double limit) { return cut_at(limit, mass_); }
  float cut_at(double limit, double whole) {
    if (limit >= whole) return -FLT_MAX;
    if (limit < 1.0) return FLT_MAX;
    return from_descending_key(
        list_prefix(ws_, true, static_cast<uint64_t>(limit), descending_key).bound);
  }
  double radius(double limit) {
    if (limit >= mass_) return 2.0 * FLT_MAX;
    if (limit < 1.0) return 0.0;
    return core::bit_cast<double>(
        list_prefix(ws_, true, static_cast<uint64_t>(limit), TypicalKey{centre_}).bound);
  }

  Workspace& ws_;
  const core::Rule& rule_;
  Sample sample_;
  double mass_ = 0.0, squares_ = 0.0, mean_ = 0.0, mass_error_ = 1.0, mean_error_ = 1.0,
         centre_ = 0.0;
};
