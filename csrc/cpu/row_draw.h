// The inverse-CDF draw of one row. Included inside the namespace of each build, after row_cut.h.

// The id of the token that stands at `rank` among those in [low, high], in id order.
template <class T>
int64_t id_of_rank(const Row<T>& row, const Workspace& ws, float low, float high, int64_t rank) {
  const Simd::F lo = Simd::set(low), hi = Simd::set(high);
  for (int64_t b = 0; b < row.blocks; ++b) {
    if (ws.block_max[b] < low) continue;
    for (int64_t v = 0; v < kBlock; v += Simd::kLanes) {
      uint32_t kept = Simd::lanes(Simd::between(row.lanes(b, v), lo, hi));
      const int count = __builtin_popcount(kept);
      if (rank < count) {
        for (; rank > 0; --rank) kept &= kept - 1;
        return b * kBlock + v + __builtin_ctz(kept);
      }
      rank -= count;
    }
  }
  return -1;
}

// Prefix of the weighted list, then back to the row for the id where that is not known.
template <class T>
int64_t draw_from_list(const RowInput<T>& in, const Workspace& ws, const RowCut& cut,
                       uint64_t target) {
  uint64_t before = 0;
  int64_t i = 0;
  for (; i + 8 <= ws.list_size; i += 8) {  // eight at a time, then one
    uint64_t sum = 0;
    for (int64_t j = 0; j < 8; ++j) sum += ws.list_weight[i + j];
    if (before + sum > target) break;
    before += sum;
  }
  while (i < ws.list_size && before + ws.list_weight[i] <= target) before += ws.list_weight[i++];
  if (cut.list_ids) return cut.list_ids[i];
  const core::RowMasses& r = cut.masses;
  return id_of_rank(Row<T>(in, const_cast<Workspace&>(ws)), ws, r.low, r.high, i);
}

// The token in a chunk of the row at which the mass of [low, high], `before` it included, exceeds
// the target.
template <class T>
int64_t draw_from_chunk(const Row<T>& row, const Workspace& ws, const core::RowMasses& r,
                        bool scaled, int64_t chunk, uint64_t before, uint64_t target) {
  const Weighing weighing(ws.top, ws.scaled_at);
  const Simd::F low = Simd::set(r.low), high = Simd::set(r.high);
  uint64_t weight[kBlock];
  const int64_t last = smaller(row.blocks, (chunk + 1) * (kChunk / kBlock));
  for (int64_t b = chunk * (kChunk / kBlock); b < last; ++b) {
    for (int64_t v = 0; v < kBlock; v += Simd::kLanes) {
      const Simd::F x = row.lanes(b, v);
      const Simd::F t = scaled ? weighing.gap<true>(x) : weighing.gap<false>(x);
      const Simd::Words bits = Simd::weight_bits(Simd::widen(exp_lanes(t)), core::kMassMagic);
      Simd::store_weights(weight + v, bits, core::kMassMagic);
      const uint32_t kept = Simd::lanes(Simd::between(x, low, high));
      for (int64_t i = 0; i < Simd::kLanes; ++i)
        if (!((kept >> i) & 1u)) weight[v + i] = 0;
    }
    for (int64_t i = 0; i < kBlock; ++i) {
      before += weight[i];
      if (before > target) return b * kBlock + i;
    }
  }
  return -1;
}

// Every existing token is kept: chunk masses lead to the chunk.
template <class T>
int64_t draw_from_row(const RowInput<T>& in, const Workspace& ws, const core::RowMasses& r,
                      bool scaled, uint64_t target) {
  const uint64_t* masses = scaled ? ws.scaled_chunks : ws.base_chunks;
  uint64_t before = 0;
  int64_t chunk = 0;
  while (chunk < ws.chunks && before + masses[chunk] <= target) before += masses[chunk++];
  return draw_from_chunk(Row<T>(in, const_cast<Workspace&>(ws)), ws, r, scaled, chunk, before,
                         target);
}

// An interval is kept: a chunk weighs what is certainly inside and its kept tokens of the band,
// which follow each other in the list.
template <class T>
int64_t draw_from_interval(const RowInput<T>& in, const Workspace& ws, const core::RowMasses& r,
                           bool scaled, uint64_t target) {
  uint64_t before = 0;
  int64_t chunk = 0, band = 0, listed = 0;
  for (; chunk < ws.chunks; ++chunk) {
    uint64_t mass = ws.inside_chunks[chunk];
    const int64_t kept = count_between(ws.band_x + band, ws.band_end[chunk] - band, r.low, r.high);
    for (int64_t i = 0; i < kept; ++i) mass += ws.list_weight[listed + i];
    band = ws.band_end[chunk];
    listed += kept;
    if (before + mass > target) break;
    before += mass;
  }
  return draw_from_chunk(Row<T>(in, const_cast<Workspace&>(ws)), ws, r, scaled, chunk, before,
                         target);
}

template <class T>
int64_t draw_row(const RowInput<T>& in, const Workspace& ws, const RowCut& cut, bool scaled,
                 uint64_t target) {
  const core::RowMasses& r = cut.masses;
  if (r.greedy_token >= 0) return r.greedy_token;
  if (cut.kept_as == KeptAs::kList) return draw_from_list(in, ws, cut, target);
  if (cut.kept_as == KeptAs::kAll) return draw_from_row(in, ws, r, scaled, target);
  return draw_from_interval(in, ws, r, scaled, target);
}
