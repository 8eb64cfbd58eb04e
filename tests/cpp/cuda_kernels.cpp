// The launchers of csrc/cuda on the machine of host_device/cuda/block.cuh; built and called by
// tests/host_cuda.py.
#include <cstdio>
#include <exception>

#include "cuda/adaptor_backward.cu"
#include "cuda/adaptor_step.cu"
#include "cuda/candidates.cu"
#include "cuda/combine_logits.cu"
#include "cuda/imh_chain.cu"
#include "cuda/imh_resample.cu"
#include "cuda/rescore.cu"
#include "cuda/segment_value.cu"
#include "cuda/smc_resample.cu"
#include "cuda/tilt.cu"

namespace {

template <class Launch, class Args>
int run(Launch launch, const Args* args) {
  try {
    return launch(*args, nullptr);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return -1;
  }
}

}  // namespace

namespace cuda = aligndec::cuda;
auto& machine = cuda::block::machine;

extern "C" {
void configure(int multiprocessors, int storage_bytes, int clusters, int most_peers,
               uint64_t order) {
  machine = {{multiprocessors, storage_bytes, clusters != 0}, most_peers, order};
}
void asked_for(int64_t* launches, int64_t* on_chip, int64_t* clusters) {
  *launches = machine.launches;
  *on_chip = machine.on_chip;
  *clusters = machine.clusters;
}
int adaptor_step(const aligndec::StepArgs* args) { return run(cuda::launch_adaptor_step, args); }
int adaptor_grid(const aligndec::GridArgs* args) { return run(cuda::launch_adaptor_grid, args); }
int adaptor_mask(const aligndec::MaskArgs* args) { return run(cuda::launch_adaptor_mask, args); }
int adaptor_score_backward(const aligndec::BackwardArgs* args) {
  return run(cuda::launch_adaptor_score_backward, args);
}
int imh_chain(const aligndec::ChainArgs* args) { return run(cuda::launch_imh_chain, args); }
int imh_resample(const aligndec::ResampleArgs* args) {
  return run(cuda::launch_imh_resample, args);
}
int candidates(const aligndec::CandidatesArgs* args) { return run(cuda::launch_candidates, args); }
int rescore(const aligndec::RescoreArgs* args) { return run(cuda::launch_rescore, args); }
int segment_value(const aligndec::SegmentValueArgs* args) {
  return run(cuda::launch_segment_value, args);
}
int smc_resample(const aligndec::SmcResampleArgs* args) {
  return run(cuda::launch_smc_resample, args);
}
int tilt_stats(const aligndec::TiltStatsArgs* args) { return run(cuda::launch_tilt_stats, args); }
int tilt_solve(const aligndec::TiltSolveArgs* args) { return run(cuda::launch_tilt_solve, args); }
int combine_logits(const aligndec::CombineArgs* args) {
  return run(cuda::launch_combine_logits, args);
}
}
