// A sample of a row, which says roughly where a prefix ends before the row is weighed. Included
// inside the namespace of each build, after row_prefix.h.

// A stratified sample of the row as a list: the maximum of every block, which stands for itself,
// then the rest of some blocks, each standing for `share` tokens. Heavy tokens are maxima of their
// blocks, so what is estimated is the light remainder.
struct Sample {
  int64_t exact;
  uint64_t share;
};
constexpr int64_t kSampleBlocks = 48;
constexpr int64_t kSampleFrom = 2 * kSampleBlocks * kBlock;  // shorter rows are not sampled

template <class T>
Sample sample_row(const RowInput<T>& in, Workspace& ws) {
  const Row<T> row(in, ws);
  int64_t size = 0;
  for (int64_t b = 0; b < row.blocks; ++b) {
    ws.list_x[size] = ws.block_max[b];
    size += ws.block_max[b] > -INFINITY;
  }
  const int64_t exact = size, step = row.blocks / kSampleBlocks;
  const Simd::F least = Simd::set(-FLT_MAX);
  for (int64_t s = 0; s < kSampleBlocks; ++s) {
    const Simd::F most = Simd::set(ws.block_max[s * step]);
    for (int64_t v = 0; v < kBlock; v += Simd::kLanes) {
      const Simd::F x = row.lanes(s * step, v);
      const auto rest = Simd::but_not(Simd::between(x, least, most), Simd::equal(x, most));
      size += Simd::compress(ws.list_x + size, x, rest);
    }
  }
  ws.list_size = size;
  return {exact, static_cast<uint64_t>(row.blocks / kSampleBlocks)};
}

// Weighs the sampled list, each token for all that it stands for.
inline void weigh_sample(Workspace& ws, const core::Scale& scale, const Sample& sample) {
  weigh_list(ws, scale, ws.top);
  uint64_t rest = 0;
  for (int64_t i = sample.exact; i < ws.list_size; ++i) {
    rest += ws.list_weight[i];
    ws.list_weight[i] *= sample.share;
  }
  ws.list_mass += (sample.share - 1) * rest;
}
