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

// Prefix of the weighted list, then back to the row for the id.
template <class T>
int64_t draw_from_list(const RowInput<T>& in, const Workspace& ws, const core::RowMasses& r,
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
  return id_of_rank(Row<T>(in, const_cast<Workspace&>(ws)), ws, r.low, r.high, i);
}

// Every existing token is kept: chunk masses lead to a chunk, whose tokens are weighed again.
template <class T>
int64_t draw_from_row(const RowInput<T>& in, const Workspace& ws, bool scaled, uint64_t target) {
  const Row<T> row(in, const_cast<Workspace&>(ws));
  const uint64_t* chunks = scaled ? ws.scaled_chunks : ws.base_chunks;
  const int64_t n_chunks = (row.blocks * kBlock + kChunk - 1) / kChunk;
  uint64_t before = 0;
  int64_t chunk = 0;
  while (chunk < n_chunks && before + chunks[chunk] <= target) before += chunks[chunk++];
  const Weighing weighing(ws.top, ws.scaled_at);
  uint64_t weight[kBlock];
  const int64_t last = smaller(row.blocks, (chunk + 1) * (kChunk / kBlock));
  for (int64_t b = chunk * (kChunk / kBlock); b < last; ++b) {
    for (int64_t v = 0; v < kBlock; v += Simd::kLanes) {
      const Simd::F x = row.lanes(b, v);
      const Simd::F t = scaled ? weighing.gap<true>(x) : weighing.gap<false>(x);
      Simd::store_weights(weight + v, Simd::widen(exp_lanes(t)), core::kMassMagic);
    }
    for (int64_t i = 0; i < kBlock; ++i) {
      before += weight[i];
      if (before > target) return b * kBlock + i;
    }
  }
  return -1;
}

template <class T>
int64_t draw_row(const RowInput<T>& in, const Workspace& ws, const RowCut& cut, bool scaled,
                 uint64_t target) {
  if (cut.masses.greedy_token >= 0) return cut.masses.greedy_token;
  return cut.listed ? draw_from_list(in, ws, cut.masses, target)
                    : draw_from_row(in, ws, scaled, target);
}
