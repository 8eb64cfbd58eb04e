// Where a prefix by entropy ends, for top_h. Included inside the namespace of each build, after
// row_prefix.h.

// Where a descending prefix of the list ends whose entropy terms may weigh `limit`, those of
// `before` (tokens above the list) included.
class EntropyPrefix {
 public:
  EntropyPrefix(Workspace& ws, const core::Scale& scale, const core::EntropyTerms& terms,
                const Sums& before, core::u128 limit)
      : ws_(ws), scale_(scale), terms_(terms), before_(before), limit_(limit) {}

  // The logit with which the prefix passes the limit; false where the whole list does not.
  bool end(float& logit) {
    float least, most;
    list_range(ws_, least, most);
    const uint64_t first = descending_key(most), last = descending_key(least);
    if (!passes(last)) return false;
    uint64_t within = first - 1, beyond = last;
    const uint64_t guess = terms_.additive() ? guessed(first, last) : last;
    if (passes(guess)) {
      beyond = guess;
      for (uint64_t step = 1; within < beyond - 1; step *= 8) {
        const uint64_t key = beyond - within > step ? beyond - step : within;
        if (key == within || !passes(key)) {
          within = key;
          break;
        }
        beyond = key;
      }
    } else {
      within = guess;
      for (uint64_t step = 1; within < beyond - 1; step *= 8) {
        const uint64_t key = beyond - within > step ? within + step : beyond;
        if (key == beyond || passes(key)) {
          beyond = key;
          break;
        }
        within = key;
      }
    }
    while (within + 1 < beyond) {
      const uint64_t middle = within + (beyond - within) / 2;
      (passes(middle) ? beyond : within) = middle;
    }
    logit = from_descending_key(beyond);
    return true;
  }

 private:
  // Whether the tokens up to a key weigh more than the limit.
  bool passes(uint64_t key) const {
    const float low = from_descending_key(key);
    if (terms_.additive()) {
      const Sums sums = list_sums_from(ws_, scale_, ws_.top, low);
      return terms_.of(before_.mass + sums.mass, before_.entropy + sums.entropy) > limit_;
    }
    core::u128 sum = 0;
    for (int64_t i = 0; i < ws_.list_size; ++i) {
      if (ws_.list_x[i] < low) continue;
      const core::Weight w = core::weight_at(core::scaled_gap(ws_.list_x[i] - ws_.top, scale_));
      sum += terms_.of(w.mass, w.entropy);
    }
    return sum > limit_;
  }

  // The key at which terms in units of 2^-38 pass the limit: right but for rounding.
  uint64_t guessed(uint64_t first, uint64_t last) {
    constexpr double kMagic = core::kMassMagic * 32.0;  // rounds to 2^-38
    constexpr int kShift = 86 - 38;
    const Weighing weighing(ws_.top, scale_);
    const Simd::Wide log_mass = Simd::widen_gap(
        Simd::set(-static_cast<float>(static_cast<double>(terms_.log_mass) * core::kMassUnit)));
    pad_list(ws_);
    for (int64_t i = 0; i < ws_.list_size; i += Simd::kLanes) {
      const Simd::F x = Simd::load(ws_.list_x + i);
      const Simd::F t = scale_.identity ? weighing.gap<false>(x) : weighing.gap<true>(x);
      const Simd::Wide w = Simd::widen(exp_lanes(t));
      Simd::Words term = Simd::product_bits(w, Simd::widen_gap(t), kMagic);
      Simd::add_words(term, Simd::product_bits(w, log_mass, kMagic));
      Simd::store_weights(ws_.list_weight + i, term, kMagic);
    }
    const auto surplus = core::bit_cast<uint64_t>(kMagic);
    uint64_t total = 0;
    for (int64_t i = 0; i < ws_.list_size; ++i) total += ws_.list_weight[i] -= surplus;
    ws_.list_mass = total;
    const core::u128 spent = terms_.of(before_.mass, before_.entropy);
    const uint64_t left = static_cast<uint64_t>((limit_ - spent) >> kShift) + 1;
    const uint64_t bound = list_prefix(ws_, true, left, descending_key).bound;
    return bound < first ? first : bound > last ? last : bound;
  }

  Workspace& ws_;
  const core::Scale& scale_;
  core::EntropyTerms terms_;
  Sums before_;
  core::u128 limit_;
};

// The entropy terms of all survivors, which are listed where they do not add up by themselves.
inline core::u128 entropy_of(const Workspace& ws, const core::Scale& scale,
                             const core::EntropyTerms& terms, const core::Survivors& s) {
  if (terms.additive()) return terms.of(s.mass, s.entropy);
  core::u128 sum = 0;
  for (int64_t i = 0; i < ws.list_size; ++i) {
    const core::Weight w = core::weight_at(core::scaled_gap(ws.list_x[i] - ws.top, scale));
    sum += terms.of(w.mass, w.entropy);
  }
  return sum;
}
