// The pass that finds the maximum, counts the tokens and marks bad logits. Included inside the
// namespace of each build, after row.h.

constexpr uint32_t kInfinityBits = 0x7f800000u;

template <class T>
int64_t count_existing(const Row<T>& row) {
  const Simd::F least = Simd::set(-FLT_MAX), most = Simd::set(FLT_MAX);
  int64_t count = 0;
  for (int64_t b = 0; b < row.blocks; ++b)
    for (int64_t v = 0; v < kBlock; v += Simd::kLanes)
      count += __builtin_popcount(Simd::lanes(Simd::between(row.lanes(b, v), least, most)));
  return count;
}

// Finds the maximum of the row and of each block, counts the tokens that exist, and marks NaN and
// +inf.
template <class T>
void scan_row(const RowInput<T>& in, Workspace& ws) {
  fill_tail(in, ws);
  const Row<T> row(in, ws);
  ws.collect_from = FLT_MAX;
  ws.chunks = (row.blocks * kBlock + kChunk - 1) / kChunk;
  ws.base_known = ws.scaled_known = ws.scaled_entropy_known = ws.sigma_known = false;

  float part_max[kMaxParts];
  uint32_t part_magnitude[kMaxParts];
  for (int i = 0; i < kMaxParts; ++i) {
    part_max[i] = -INFINITY;
    part_magnitude[i] = 0;
  }
  auto body = [&](int64_t first, int64_t last, int part) {
    typename Simd::Magnitude magnitude;
    float top = -INFINITY;
    for (int64_t b = first; b < last; ++b) {
      Simd::F most = row.lanes(b, 0);
      if (b < row.whole) magnitude.add(most);
      for (int64_t v = Simd::kLanes; v < kBlock; v += Simd::kLanes) {
        const Simd::F x = row.lanes(b, v);
        if (b < row.whole) magnitude.add(x);
        most = Simd::max(x, most);
      }
      const float block_max = Simd::reduce_max(most);
      ws.block_max[b] = block_max;
      top = block_max > top ? block_max : top;
    }
    part_max[part] = top;
    part_magnitude[part] = magnitude.get();
  };
  for_ranges(ws.team, row.blocks, 1, body);

  ws.top = -INFINITY;
  uint32_t magnitude = 0;
  for (int i = 0; i < kMaxParts; ++i) {
    ws.top = larger(ws.top, part_max[i]);
    magnitude = larger(magnitude, part_magnitude[i]);
  }
  for (int64_t i = 0; i < in.n - row.whole * kBlock; ++i) {  // padding is not looked at
    const uint32_t bits = core::bit_cast<uint32_t>(static_cast<float>(row.tail[i])) & 0x7fffffffu;
    magnitude = larger(magnitude, bits);
  }
  ws.count = magnitude < kInfinityBits ? in.n : count_existing(row);
  ws.status = core::kOk;
  if (magnitude > kInfinityBits || ws.top == INFINITY) {
    ws.status = core::kBadLogit;
  } else if (ws.count == 0) {
    ws.status = core::kNoToken;
  }
}
