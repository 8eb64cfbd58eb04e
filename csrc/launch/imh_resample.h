// Arguments and launcher of imh_resample.
#pragma once

#include <cstdint>

struct CUstream_st;  // what cudaStream_t points to

namespace aligndec {

// Chains over the entries of pools: chain c of pool p has sequence id p * chains + c.
struct ResampleArgs {
  const double* log_weight;  // [pools, size], size < 2^31
  const double* values;      // [pools, size, columns]
  int64_t pools, size, columns;
  int64_t chains, steps, burn_in;  // burn_in < steps < 2^32
  int64_t seed;
  double* mean;       // [pools, chains, columns]
  int64_t* accepted;  // [pools, chains]
};

namespace cpu {
void launch_imh_resample(const ResampleArgs& args);
}  // namespace cpu

namespace cuda {
int launch_imh_resample(const ResampleArgs& args, CUstream_st* stream);  // cudaError_t
}  // namespace cuda

}  // namespace aligndec
