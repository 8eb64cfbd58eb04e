// Chains over the entries of a pool on a GPU: a warp for each chain. Its lanes draw the numbers of
// as many steps side by side, then all of them follow the chain through these steps.
#include "core/metropolis.h"
#include "core/philox.h"
#include "cuda/block.cuh"
#include "cuda/tuning.cuh"
#include "launch/imh_resample.h"

namespace aligndec::cuda {
namespace {

// What a lane knows of its step: where the chain may go, and at which price.
struct Step {
  double log_u, log_weight;
  int64_t next;
};

struct ResampleKernel {
  static constexpr int kThreads = kEntryThreads, kBlocksPerSm = 1;
  static constexpr int kChains = kThreads / block::kWarp;
  using Args = ResampleArgs;

  static __device__ void run(const ResampleArgs& a) {
    const int64_t chain = block::group() * kChains + block::warp();
    if (chain >= a.pools * a.chains) return;
    const double* log_weight = a.log_weight + chain / a.chains * a.size;
    const double* values = a.values + chain / a.chains * a.size * a.columns;
    double* sums = a.mean + chain * a.columns;
    for (int64_t c = block::lane(); c < a.columns; c += block::kWarp) sums[c] = 0.0;
    int64_t state = core::pool_index(bits(a, chain, 0).r2, a.size), accepted = 0, stay = 0;
    double held = log_weight[state];
    for (int64_t begin = 1; begin <= a.steps; begin += block::kWarp) {
      const core::RandomBits mine = bits(a, chain, begin + block::lane());
      Step drawn{core::log_uniform(core::uniform_from_bits(mine.r)), 0.0,
                 core::pool_index(mine.r2, a.size)};
      drawn.log_weight = log_weight[drawn.next];
      const int64_t left = a.steps - begin + 1;
      const int steps = static_cast<int>(left < block::kWarp ? left : block::kWarp);
      for (int k = 0; k < steps; ++k) {
        const Step step = block::from_lane(drawn, k);
        if (core::accepts(step.log_u, step.log_weight, held)) {
          add_state(a, values, state, stay, sums);
          state = step.next;
          held = step.log_weight;
          stay = 0;
          ++accepted;
        }
        stay += begin + k > a.burn_in;
      }
    }
    add_state(a, values, state, stay, sums);
    const auto counted = static_cast<double>(a.steps - a.burn_in);
    for (int64_t c = block::lane(); c < a.columns; c += block::kWarp) sums[c] /= counted;
    if (block::lane() == 0) a.accepted[chain] = accepted;
  }

  static __device__ core::RandomBits bits(const ResampleArgs& a, int64_t chain, int64_t n) {
    return core::token_bits(static_cast<uint64_t>(a.seed), static_cast<uint64_t>(chain),
                            static_cast<uint64_t>(n), core::Stream::kChain);
  }

  // A state that never counted may hold an infinity.
  static __device__ void add_state(const ResampleArgs& a, const double* values, int64_t state,
                                   int64_t stay, double* sums) {
    if (stay == 0) return;
    for (int64_t c = block::lane(); c < a.columns; c += block::kWarp)
      sums[c] += static_cast<double>(stay) * values[state * a.columns + c];
  }
};

}  // namespace

int launch_imh_resample(const ResampleArgs& args, CUstream_st* stream) {
  constexpr int64_t kChains = ResampleKernel::kChains;
  const int64_t blocks = (args.pools * args.chains + kChains - 1) / kChains;
  return block::launch<ResampleKernel>({blocks, 1, 0}, args, stream);
}

}  // namespace aligndec::cuda
