// Arguments and launcher of combine_logits.
#pragma once

#include "launch/adaptor_step.h"

namespace aligndec {

// One model's logits: rows of vocab entries, `stride` elements apart.
struct CombineTerm {
  const void* logits;
  LogitType type;
  int64_t stride;
  double weight;
};

constexpr int kMostTerms = 64;  // on CUDA, where they travel with the launch

// log_probs [rows, vocab] of the combined law; NaN throughout a row that has none.
struct CombineArgs {
  const CombineTerm* terms;  // on the host
  int64_t n_terms, rows, vocab;
  double* log_probs;
};

namespace cpu {
void launch_combine_logits(const CombineArgs& args);
}  // namespace cpu

namespace cuda {
int launch_combine_logits(const CombineArgs& args, CUstream_st* stream);  // cudaError_t
}  // namespace cuda

}  // namespace aligndec
