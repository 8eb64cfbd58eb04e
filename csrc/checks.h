// The checks that guard the kernels against arguments that Python did not prepare.
#pragma once

#include <algorithm>
#include <sstream>
#include <stdexcept>
#include <string>

#include "tensor.h"

namespace aligndec {

// What may stand in the text of an error: all that a stream takes, sizes and devices.
template <class T>
void write(std::ostream& out, const T& value) {
  out << value;
}
inline void write(std::ostream& out, const IntArrayRef& sizes) {
  out << '[';
  for (size_t i = 0; i < sizes.size(); ++i) out << (i ? ", " : "") << sizes[i];
  out << ']';
}
inline void write(std::ostream& out, const torch::stable::Device& device) {
  using torch::headeronly::DeviceType;
  switch (device.type()) {
    case DeviceType::CPU:
      out << "cpu";
      break;
    case DeviceType::CUDA:
      out << "cuda:" << device.index();
      break;
    case DeviceType::Meta:
      out << "meta";
      break;
    default:
      out << "device type " << static_cast<int>(device.type());
  }
}
template <class... Parts>
std::string message(const Parts&... parts) {
  std::ostringstream out;
  (write(out, parts), ...);
  return out.str();
}

// A ValueError with the parts of its text, unless the condition holds.
#define ALIGNDEC_CHECK(condition, ...)                               \
  do {                                                               \
    if (!(condition)) [[unlikely]]                                   \
      throw std::invalid_argument(::aligndec::message(__VA_ARGS__)); \
  } while (false)

// A null pointer for an absent tensor.
template <class T>
T* data_or_null(const OptionalTensor& t) {
  return t ? t->mutable_data_ptr<T>() : nullptr;
}
template <class T>
const T* const_data_or_null(const OptionalTensor& t) {
  return t ? t->const_data_ptr<T>() : nullptr;
}

// A contiguous tensor of this type and length on the device of the logits.
inline void check_vector(const char* op, const char* name, const Tensor& t, ScalarType type,
                         int64_t length, const Tensor& logits) {
  ALIGNDEC_CHECK(t.scalar_type() == type && t.dim() == 1 && t.size(0) == length &&
                     t.is_contiguous() && t.device() == logits.device(),
                 op, ": ", name, " must be a contiguous ", type, " [", length, "] on ",
                 logits.device(), ", got ", t.scalar_type(), " ", t.sizes(), " on ", t.device());
}
inline void check_vector(const char* op, const char* name, const OptionalTensor& t, ScalarType type,
                         int64_t length, const Tensor& logits) {
  if (t) check_vector(op, name, *t, type, length, logits);
}

// A contiguous float64 tensor of this shape (-1: any size) on the device of another.
inline void check_doubles(const char* op, const char* name, const Tensor& t, IntArrayRef shape,
                          const Tensor& like) {
  const IntArrayRef sizes = t.sizes();
  const bool fits =
      std::equal(sizes.begin(), sizes.end(), shape.begin(), shape.end(),
                 [](int64_t size, int64_t wanted) { return wanted == -1 || size == wanted; });
  ALIGNDEC_CHECK(t.scalar_type() == ScalarType::Double && fits && t.is_contiguous() &&
                     t.device() == like.device(),
                 op, ": ", name, " must be a contiguous float64 ", shape, " on ", like.device(),
                 ", got ", t.scalar_type(), " ", sizes, " on ", t.device());
}

}  // namespace aligndec
