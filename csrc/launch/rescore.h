// Arguments and launcher of rescore.
#pragma once

#include "launch/adaptor_step.h"

namespace aligndec {

// Candidates [rows, k] and one alpha, or one a row; fields [rows].
struct RescoreArgs {
  const double *log_p, *value, *alpha;
  int64_t rows, k, alpha_stride;
  bool greedy;
  BitSource bits;
  int64_t* index;
  double *log_ref, *log_alg, *kl;
};

namespace cpu {
void launch_rescore(const RescoreArgs& args);
}  // namespace cpu

namespace cuda {
int launch_rescore(const RescoreArgs& args, CUstream_st* stream);  // cudaError_t
}  // namespace cuda

}  // namespace aligndec
