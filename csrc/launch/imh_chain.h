// Arguments and launcher of imh_chain.
#pragma once

#include <cstdint>

struct CUstream_st;  // what cudaStream_t points to

namespace aligndec {

// Chains [chains, length] over given log-weights; entry 0 of each is its start.
struct ChainArgs {
  const double* log_weight;
  int64_t chains, length;
  int64_t seed;
  const int64_t* sequence_ids;  // [chains], else 0 .. chains - 1
  const double* uniforms;       // [chains, length], else Philox
  int64_t* index;
  bool* accepted;
  int64_t* count;  // [chains], accepted steps
};

namespace cpu {
void launch_imh_chain(const ChainArgs& args);
}  // namespace cpu

namespace cuda {
int launch_imh_chain(const ChainArgs& args, CUstream_st* stream);  // cudaError_t
}  // namespace cuda

}  // namespace aligndec
