// The gradient of scored tokens on a GPU: a block for each tile of a row, which gathers what every
// scored token of the row adds, in their order, and writes its tile once.
#include "cuda/plan.cuh"
#include "launch/gradient_entry.h"

namespace aligndec::cuda {
namespace {

constexpr int kTile = kThreads * kGradientsPerThread;

// A bit for each entry of a chunk: whether it is on the row.
struct Chunk {
  uint32_t words[kWarps];
};

template <class T>
struct BackwardKernel {
  static constexpr int kThreads = cuda::kThreads, kBlocksPerSm = cuda::kBlocksPerSm;
  using Args = BackwardArgs;

  static __device__ void run(const BackwardArgs& a) {
    const int64_t tiles = block::groups() / a.batch.rows, row = block::group() / tiles;
    const int64_t first = block::group() % tiles * kTile + thread();
    uint32_t* const words = reinterpret_cast<Chunk*>(block::storage())->words;
    float x[kGradientsPerThread], sum[kGradientsPerThread] = {};
#pragma unroll
    for (int k = 0; k < kGradientsPerThread; ++k)
      x[k] = existing_logit(a.batch, row, first + k * kThreads);
    const auto add = [&](int64_t i) { add_entry(a, row, i, first, x, sum); };
    if (!a.row_of) add(row);
    for (int64_t chunk = 0; a.row_of && chunk < a.count; chunk += kThreads) {
      const int64_t mine = chunk + thread();
      if (thread() < kWarps) words[thread()] = 0;
      block::sync();
      if (mine < a.count && a.row_of[mine] == row)
        block::add(&words[block::warp()], 1u << block::lane());
      block::sync();
      for (int warp = 0; warp < kWarps; ++warp) {
        int64_t i = chunk + warp * block::kWarp;
        for (uint32_t word = words[warp]; word != 0; word >>= 1, ++i)
          if (word & 1u) add(i);
      }
      block::sync();
    }
    T* const out = static_cast<T*>(a.grad_logits) + row * a.vocab;
#pragma unroll
    for (int k = 0; k < kGradientsPerThread; ++k) {
      const int64_t id = first + k * kThreads;
      if (id < a.vocab) out[id] = static_cast<T>(sum[k]);
    }
  }

  static __device__ void add_entry(const BackwardArgs& a, int64_t row, int64_t i, int64_t first,
                                   const float (&x)[kGradientsPerThread],
                                   float (&sum)[kGradientsPerThread]) {
    if (!entry_has_gradient(a, i)) return;
    const int64_t token = a.tokens[i];
    const float chosen = existing_logit(a.batch, row, token);
    const core::RowGradient g = entry_gradient(a, i, chosen);
#pragma unroll
    for (int k = 0; k < kGradientsPerThread; ++k) {
      const int64_t id = first + k * kThreads;
      const float p = x[k] > -INFINITY ? g.base(x[k]) : 0.0f;
      const float q = x[k] >= g.low && x[k] <= g.high ? g.kept(x[k]) : 0.0f;
      sum[k] = core::fma32(g.kept_weight, q, core::fma32(g.base_weight, p, sum[k]));
      if (g.entropy_weight != 0.0f && x[k] > -INFINITY)
        sum[k] = core::fma32(g.entropy_weight * (x[k] - g.entropy_centre), p, sum[k]);
      if (chosen > -INFINITY && id == token) sum[k] += g.token_weight;
      if (id == g.top) sum[k] += g.top_weight;
    }
  }
};

}  // namespace

int launch_adaptor_score_backward(const BackwardArgs& args, CUstream_st* stream) {
  const int64_t tiles = (args.vocab + kTile - 1) / kTile;
  return for_type(args.batch.type, [&]<class T>(T) {
    return block::launch<BackwardKernel<T>>({args.batch.rows * tiles, 1, sizeof(Chunk)}, args,
                                            stream);
  });
}

}  // namespace aligndec::cuda
