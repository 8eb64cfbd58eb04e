// Arguments and launcher of smc_resample.
#pragma once

#include "launch/bits.h"

struct CUstream_st;  // what cudaStream_t points to

namespace aligndec {

// Filters [filters, n]. The sequence ids are those of the slots, [filters, n], and the positions
// those of the filters, [filters]; uniforms are [filters] if systematic, else [filters, n].
struct SmcResampleArgs {
  const double* log_weight;
  int64_t filters, n;
  double threshold;
  int scheme;  // core::Scheme
  BitSource bits;
  int64_t* ancestor;       // [filters, n]
  double *ess, *log_mean;  // [filters]
  bool* due;
  void* keys;        // 16 bytes for each slot
  uint32_t* copies;  // [filters, n]
};

namespace cpu {
void launch_smc_resample(const SmcResampleArgs& args);
}  // namespace cpu

namespace cuda {
int launch_smc_resample(const SmcResampleArgs& args, CUstream_st* stream);  // cudaError_t
}  // namespace cuda

}  // namespace aligndec
