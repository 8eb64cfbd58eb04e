// The spread of the logits, for top_n_sigma. Included inside the namespace of each build, after
// row.h.

// Moments of the gaps below the maximum, in units of 2^-24, over the tokens within 1024 of it.
template <class T>
core::GapMoments gap_moments(const RowInput<T>& in, Workspace& ws) {
  const Row<T> row(in, ws);
  core::GapMoments total;
  typename Simd::Gaps sums;
  alignas(64) float lane[Simd::kLanes];
  const Simd::F top = Simd::set(ws.top);
  const Simd::F near = Simd::set(-60.0f), far = Simd::set(-core::kSigmaRange);
  for (int64_t b = 0; b < row.blocks; ++b) {
    for (int64_t v = 0; v < kBlock; v += Simd::kLanes) {
      const Simd::F gap = Simd::sub(row.lanes(b, v), top);
      const auto wanted = Simd::at_least(gap, far);
      if (Simd::lanes(wanted) == Simd::lanes(Simd::at_least(gap, near))) {
        sums.add(Simd::only(gap, wanted));
        total.count += static_cast<uint64_t>(__builtin_popcount(Simd::lanes(wanted)));
        continue;
      }
      Simd::store(lane, gap);
      for (int64_t i = 0; i < Simd::kLanes; ++i)
        if (lane[i] >= -core::kSigmaRange) total.add(core::gap_of(lane[i]));
    }
    sums.settle();
  }
  total.add(sums.get());
  return total;
}
