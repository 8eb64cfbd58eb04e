// The spread of the logits, for top_n_sigma. Included inside the namespace of each build, after
// row.h.

// Moments of gaps of 60 at most, in units of 2^-24; see core::GapMoments. Counts nothing.
class NearGaps {
 public:
  // Written out: see MassSum.
  NearGaps() : sum_{}, square_{}, square_low_{}, square_high_{} {}
  // Gaps below the maximum as they are, >= 0.
  void add(Simd::F gap) {
    const Simd::Word q = Simd::round_pairs(Simd::mul(gap, Simd::set(0x1p24f))), odd = q >> 32;
    sum_ += (q & kLowHalf) + odd;
    square_ += Simd::multiply(q, q);
    square_ += Simd::multiply(odd, odd);
  }
  // Comes after 8 calls of add() at most: the squares of 16 such gaps fit in 64 bits.
  void settle() {
    square_low_ += square_ & kLowHalf;
    square_high_ += square_ >> 32;
    square_ = Simd::Word{};
  }
  core::GapMoments get() const {
    core::GapMoments g;
    for (size_t i = 0; i < sizeof(Simd::Word) / sizeof(uint64_t); ++i) {
      g.sum += sum_[i];
      g.square_low += square_low_[i];
      g.square_high += square_high_[i];
    }
    return g;
  }

 private:
  static constexpr uint64_t kLowHalf = 0xffffffffu;
  Simd::Word sum_, square_, square_low_, square_high_;
};

// Moments of the gaps below the maximum, in units of 2^-24, over the tokens within 1024 of it.
template <class T>
core::GapMoments gap_moments(const RowInput<T>& in, Workspace& ws) {
  const Row<T> row(in, ws);
  core::GapMoments total;
  NearGaps sums;
  alignas(64) float lane[Simd::kLanes];
  const Simd::F top = Simd::set(ws.top);
  const Simd::F near = Simd::set(60.0f), far = Simd::set(core::kSigmaRange);
  int64_t added = 0;
  for (int64_t b = 0; b < row.blocks; ++b) {
    for (int64_t v = 0; v < kBlock; v += Simd::kLanes) {
      const Simd::F gap = Simd::sub(top, row.lanes(b, v));
      const auto wanted = Simd::at_least(far, gap);
      if (Simd::lanes(wanted) == Simd::lanes(Simd::at_least(near, gap))) {
        sums.add(Simd::only(gap, wanted));
        total.count += static_cast<uint64_t>(__builtin_popcount(Simd::lanes(wanted)));
        if (++added % 8 == 0) sums.settle();
        continue;
      }
      Simd::store(lane, gap);
      for (int64_t i = 0; i < Simd::kLanes; ++i)
        if (lane[i] <= core::kSigmaRange) total.add(core::gap_of(-lane[i]));
    }
  }
  sums.settle();
  total.add(sums.get());
  return total;
}
