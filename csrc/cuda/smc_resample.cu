// Resampling of particle filters on a GPU: a block for each filter.
#include "cuda/block.cuh"
#include "cuda/tuning.cuh"
#include "launch/smc_resample_entry.h"

namespace aligndec::cuda {
namespace {

// A block that works on a filter. Its words of storage: one for each thread.
struct BlockTeam {
  static constexpr int kThreads = kFilterThreads;
  core::u128* words;

  static __device__ int64_t rank() { return block::thread(); }
  static __device__ int64_t size() { return kThreads; }
  static __device__ void sync() { block::sync(); }
  static __device__ void count(uint32_t* word, uint32_t n) { block::add(word, n); }

  __device__ double largest(double mine) const {
    auto* const of_thread = reinterpret_cast<double*>(words);
    of_thread[rank()] = mine;
    sync();
    double most = of_thread[0];
    for (int i = 1; i < kThreads; ++i) most = of_thread[i] > most ? of_thread[i] : most;
    sync();
    return most;
  }
  __device__ core::u128 total(core::u128 mine) const { return sum_of(mine, kThreads); }
  __device__ core::u128 before(core::u128 mine) const {
    return sum_of(mine, static_cast<int>(rank()));
  }
  // Of the first threads; each reads what it needs, because the words are few and the reads are
  // broadcast.
  __device__ core::u128 sum_of(core::u128 mine, int count) const {
    words[rank()] = mine;
    sync();
    core::u128 sum = 0;
    for (int i = 0; i < count; ++i) sum += words[i];
    sync();
    return sum;
  }
};

struct FilterKernel {
  static constexpr int kThreads = BlockTeam::kThreads, kBlocksPerSm = 1;
  using Args = SmcResampleArgs;

  static __device__ void run(const SmcResampleArgs& args) {
    BlockTeam team{reinterpret_cast<core::u128*>(block::storage())};
    smc_resample_entry(args, block::group(), team);
  }
};

}  // namespace

int launch_smc_resample(const SmcResampleArgs& args, CUstream_st* stream) {
  const int64_t bytes = BlockTeam::kThreads * sizeof(core::u128);
  return block::launch<FilterKernel>({args.filters, 1, bytes}, args, stream);
}

}  // namespace aligndec::cuda
