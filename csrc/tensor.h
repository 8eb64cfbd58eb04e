// torch as the ops see it: the names they use, over the stable ABI of torch 2.10. A library built
// from them runs on every later torch (build: -DTORCH_TARGET_VERSION, setup.py); no other header of
// csrc includes ATen, c10 or a part of torch that is not stable.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/core/ScalarType.h>
#include <torch/headeronly/util/HeaderOnlyArrayRef.h>
#include <torch/headeronly/util/shim_utils.h>

#include <algorithm>
#include <array>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace aligndec {

using torch::headeronly::ScalarType;
using torch::stable::Device;
using IntArrayRef = torch::headeronly::IntHeaderOnlyArrayRef;

// One reference to a tensor of torch. Moving it costs nothing: torch::stable::Tensor shares its
// reference, which costs three allocations for each output of an op (1 us for nine).
class Tensor {
 public:
  Tensor() = default;
  explicit Tensor(AtenTensorHandle handle) : handle_(handle) {}
  Tensor(const Tensor& other) {
    if (other.handle_) {
      TORCH_ERROR_CODE_CHECK(aoti_torch_new_tensor_handle(other.handle_, &handle_));
    }
  }
  Tensor(Tensor&& other) noexcept : handle_(other.release()) {}
  Tensor& operator=(Tensor other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Tensor() {
    if (handle_) aoti_torch_delete_tensor_object(handle_);
  }
  AtenTensorHandle get() const { return handle_; }
  AtenTensorHandle release() { return std::exchange(handle_, nullptr); }

  int64_t dim() const { return ask<int64_t>(aoti_torch_get_dim); }
  int64_t numel() const { return ask<int64_t>(aoti_torch_get_numel); }
  int64_t size(int64_t i) const { return ask<int64_t>(aoti_torch_get_size, i); }
  int64_t stride(int64_t i) const { return ask<int64_t>(aoti_torch_get_stride, i); }
  IntArrayRef sizes() const { return list(ask<int64_t*>(aoti_torch_get_sizes)); }
  IntArrayRef strides() const { return list(ask<int64_t*>(aoti_torch_get_strides)); }
  bool is_contiguous() const { return ask<bool>(aoti_torch_is_contiguous); }
  int32_t device_type() const { return ask<int32_t>(aoti_torch_get_device_type); }
  int32_t device_index() const { return ask<int32_t>(aoti_torch_get_device_index); }
  bool is_cpu() const { return device_type() == aoti_torch_device_type_cpu(); }
  bool is_cuda() const { return device_type() == aoti_torch_device_type_cuda(); }
  ScalarType scalar_type() const { return as<ScalarType>(ask<int32_t>(aoti_torch_get_dtype)); }
  Device device() const {
    return Device(as<torch::headeronly::DeviceType>(device_type()), device_index());
  }
  const void* const_data_ptr() const { return ask<const void*>(torch_get_const_data_ptr); }
  void* mutable_data_ptr() const { return ask<void*>(torch_get_mutable_data_ptr); }
  template <class T>
  const T* const_data_ptr() const {
    check_type<T>();
    return static_cast<const T*>(const_data_ptr());
  }
  template <class T>
  T* mutable_data_ptr() const {
    check_type<T>();
    return static_cast<T*>(mutable_data_ptr());
  }

 private:
  template <class T>
  T ask(AOTITorchError (*question)(AtenTensorHandle, T*)) const {
    T answer{};
    TORCH_ERROR_CODE_CHECK(question(handle_, &answer));
    return answer;
  }
  template <class T>
  T ask(AOTITorchError (*question)(AtenTensorHandle, int64_t, T*), int64_t i) const {
    T answer{};
    TORCH_ERROR_CODE_CHECK(question(handle_, i, &answer));
    return answer;
  }
  // torch's code of a type or device as this library's enumerator.
  template <class T>
  static T as(int32_t code) {
    return torch::stable::detail::to<T>(torch::stable::detail::from(code));
  }
  IntArrayRef list(const int64_t* first) const { return {first, static_cast<size_t>(dim())}; }
  template <class T>
  void check_type() const {
    constexpr ScalarType wanted = std::is_same_v<T, double>    ? ScalarType::Double
                                  : std::is_same_v<T, float>   ? ScalarType::Float
                                  : std::is_same_v<T, int64_t> ? ScalarType::Long
                                  : std::is_same_v<T, int32_t> ? ScalarType::Int
                                                               : ScalarType::Bool;
    static_assert(wanted != ScalarType::Bool || std::is_same_v<T, bool>);
    STD_TORCH_CHECK(scalar_type() == wanted, "data_ptr: type must be ", wanted, ", got ",
                    scalar_type());
  }

  AtenTensorHandle handle_ = nullptr;
};

using OptionalTensor = std::optional<Tensor>;

// An uninitialised contiguous tensor on the device of another. The C call is made here because
// torch::stable::empty looks its op up by name: 1 us more for each output.
inline Tensor empty(IntArrayRef sizes, ScalarType type, const Tensor& like) {
  constexpr size_t kMostDims = 8;
  STD_TORCH_CHECK(sizes.size() <= kMostDims, "empty: sizes must be at most 8");
  std::array<int64_t, kMostDims> strides{};
  int64_t step = 1;
  for (size_t i = sizes.size(); i-- > 0; step *= std::max<int64_t>(sizes[i], 1)) strides[i] = step;
  const auto code = torch::stable::detail::to<int32_t>(torch::stable::detail::from(type));
  AtenTensorHandle out = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(static_cast<int64_t>(sizes.size()), sizes.data(),
                                                  strides.data(), code, like.device_type(),
                                                  like.device_index(), &out));
  return Tensor(out);
}

// The tensor itself, or a contiguous copy.
inline Tensor as_contiguous(const Tensor& t) {
  if (t.is_contiguous()) return t;
  const torch::stable::Tensor copy =
      torch::stable::contiguous(torch::stable::Tensor(Tensor(t).release()));
  AtenTensorHandle handle = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_new_tensor_handle(copy.get(), &handle));
  return Tensor(handle);
}

}  // namespace aligndec
