// The checks that guard the kernels against arguments that Python did not prepare.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <optional>

namespace aligndec {

using at::Tensor;

// A null pointer for an absent tensor.
template <class T>
T* data_or_null(const std::optional<Tensor>& t) {
  return t ? t->mutable_data_ptr<T>() : nullptr;
}
template <class T>
const T* const_data_or_null(const std::optional<Tensor>& t) {
  return t ? t->const_data_ptr<T>() : nullptr;
}

// A contiguous tensor of this type and length on the device of the logits.
inline void check_vector(const char* op, const char* name, const Tensor& t, at::ScalarType type,
                         int64_t length, const Tensor& logits) {
  TORCH_CHECK_VALUE(t.scalar_type() == type && t.dim() == 1 && t.size(0) == length &&
                        t.is_contiguous() && t.device() == logits.device(),
                    op, ": ", name, " must be a contiguous ", c10::toString(type), " [", length,
                    "] on ", logits.device(), ", got ", c10::toString(t.scalar_type()), " ",
                    t.sizes(), " on ", t.device());
}
inline void check_vector(const char* op, const char* name, const std::optional<Tensor>& t,
                         at::ScalarType type, int64_t length, const Tensor& logits) {
  if (t) check_vector(op, name, *t, type, length, logits);
}

// A contiguous float64 tensor of this shape (-1: any size) on the device of another.
inline void check_doubles(const char* op, const char* name, const Tensor& t, at::IntArrayRef shape,
                          const Tensor& like) {
  const bool fits =
      std::equal(t.sizes().begin(), t.sizes().end(), shape.begin(), shape.end(),
                 [](int64_t size, int64_t wanted) { return wanted == -1 || size == wanted; });
  TORCH_CHECK_VALUE(
      t.scalar_type() == at::kDouble && fits && t.is_contiguous() && t.device() == like.device(),
      op, ": ", name, " must be a contiguous float64 ", shape, " on ", like.device(), ", got ",
      c10::toString(t.scalar_type()), " ", t.sizes(), " on ", t.device());
}

}  // namespace aligndec
