// Reading a tensor of logits [R, V].
#pragma once

#include "checks.h"
#include "launch/adaptor_step.h"

namespace aligndec {

inline LogitType logit_type(const char* op, const Tensor& logits) {
  switch (logits.scalar_type()) {
    case ScalarType::Float:
      return LogitType::kFloat;
    case ScalarType::Half:
      return LogitType::kHalf;
    case ScalarType::BFloat16:
      return LogitType::kBFloat16;
    default:
      ALIGNDEC_CHECK(false, op, ": logits must be float32, float16 or bfloat16, got ",
                     logits.scalar_type());
  }
}

// Rows of consecutive logits, V <= 2^20.
inline void check_logits(const char* op, const Tensor& logits) {
  ALIGNDEC_CHECK(logits.dim() == 2 && (logits.size(1) <= 1 || logits.stride(1) == 1), op,
                 ": logits must be [R, V] with stride 1 in V, got ", logits.sizes(),
                 " with strides ", logits.strides());
  ALIGNDEC_CHECK(logits.size(1) <= int64_t{1} << 20, op, ": logits must have V <= 2^20, got ",
                 logits.size(1));
}

// The first n ids of checked logits, without mask and parameters.
inline RowBatch batch_of_logits(const char* op, const Tensor& logits, int64_t n) {
  RowBatch batch{};
  batch.logits = logits.const_data_ptr();
  batch.type = logit_type(op, logits);
  batch.rows = logits.size(0);
  batch.n = n;
  batch.stride = logits.stride(0);
  return batch;
}

}  // namespace aligndec
