// Reading sparse rows: a bias and given kept sets. The kernels trust what is checked here.
#pragma once

#include "checks.h"
#include "launch/sparse_rows.h"

namespace aligndec {

// `rows` rows of ids that ascend from 0 on. Values are looked at on the CPU only: elsewhere that
// would wait for the device, and the kernels look at each id instead.
inline void check_sparse(const char* op, const char* name, const Tensor& ids,
                         const OptionalTensor& offsets, int64_t rows, const Tensor& logits) {
  ALIGNDEC_CHECK(offsets.has_value(), op, ": ", name, " must come with offsets, got none");
  check_vector(op, name, ids, ScalarType::Int, ids.numel(), logits);
  check_vector(op, name, *offsets, ScalarType::Long, rows + 1, logits);
  if (!logits.is_cpu()) return;
  const auto* const id = ids.const_data_ptr<int32_t>();
  const auto* const start = offsets->const_data_ptr<int64_t>();
  bool good = start[0] >= 0 && start[rows] <= ids.numel();
  for (int64_t r = 0; r < rows; ++r) good = good && start[r] <= start[r + 1];
  for (int64_t r = 0; good && r < rows; ++r) {
    good = start[r] == start[r + 1] || id[start[r]] >= 0;
    for (int64_t i = start[r] + 1; i < start[r + 1]; ++i) good = good && id[i - 1] < id[i];
  }
  ALIGNDEC_CHECK(good, op, ": ", name,
                 " must be rows of ids >= 0 that ascend, between offsets that do, got others");
}

inline BiasRows bias_rows(const char* op, const OptionalTensor& ids, const OptionalTensor& offsets,
                          const OptionalTensor& values, int64_t rows, const Tensor& logits) {
  if (!ids) return {};
  check_sparse(op, "bias", *ids, offsets, rows, logits);
  ALIGNDEC_CHECK(values.has_value(), op, ": bias must come with values, got none");
  check_vector(op, "bias_values", *values, ScalarType::Float, ids->numel(), logits);
  static const int32_t kNoId = 0;  // the data of an empty tensor may be null, which means no bias
  const auto* const data = ids->numel() ? ids->const_data_ptr<int32_t>() : &kNoId;
  return {data, offsets->const_data_ptr<int64_t>(), values->const_data_ptr<float>()};
}

inline KeptRows kept_rows(const char* op, const OptionalTensor& ids, const OptionalTensor& offsets,
                          const OptionalTensor& complete, int64_t rows, const Tensor& logits) {
  if (!ids) return {};
  check_sparse(op, "kept", *ids, offsets, rows, logits);
  ALIGNDEC_CHECK(complete.has_value(), op, ": kept must come with complete, got none");
  check_vector(op, "kept_complete", *complete, ScalarType::Bool, rows, logits);
  static const int32_t kNoId = 0;
  const auto* const data = ids->numel() ? ids->const_data_ptr<int32_t>() : &kNoId;
  return {data, offsets->const_data_ptr<int64_t>(), complete->const_data_ptr<bool>()};
}

}  // namespace aligndec
