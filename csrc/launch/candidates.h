// Arguments and launcher of candidates.
#pragma once

#include "launch/adaptor_step.h"

namespace aligndec {

// The k most probable tokens of each row of the batch (its mask and parameters are not used).
struct CandidatesArgs {
  RowBatch batch;
  int64_t k;
  int64_t* token;   // [rows, k]
  double* log_p;    // [rows, k]
  int64_t* status;  // [rows]
};

namespace cpu {
void launch_candidates(const CandidatesArgs& args);
}  // namespace cpu

namespace cuda {
int launch_candidates(const CandidatesArgs& args, CUstream_st* stream);  // cudaError_t
}  // namespace cuda

}  // namespace aligndec
