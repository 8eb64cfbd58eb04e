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
#include <vector>

namespace aligndec {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;
using OptionalTensor = std::optional<Tensor>;
using IntArrayRef = torch::headeronly::IntHeaderOnlyArrayRef;

// An uninitialised contiguous tensor on the device of another. The C call is made here because
// torch::stable::empty looks its op up by name: 1 us more for each output.
inline Tensor empty(IntArrayRef sizes, ScalarType type, const Tensor& like) {
  constexpr size_t kMostDims = 8;
  STD_TORCH_CHECK(sizes.size() <= kMostDims, "empty: sizes must be at most 8");
  std::array<int64_t, kMostDims> strides{};
  int64_t step = 1;
  for (size_t i = sizes.size(); i-- > 0; step *= std::max<int64_t>(sizes[i], 1)) strides[i] = step;
  int32_t device = 0;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_device_type(like.get(), &device));
  const auto code = torch::stable::detail::to<int32_t>(torch::stable::detail::from(type));
  AtenTensorHandle out = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_empty_strided(static_cast<int64_t>(sizes.size()), sizes.data(),
                                                  strides.data(), code, device,
                                                  like.get_device_index(), &out));
  return Tensor(out);
}

// The tensor itself, or a contiguous copy.
inline Tensor as_contiguous(const Tensor& t) {
  return t.is_contiguous() ? t : torch::stable::contiguous(t);
}

}  // namespace aligndec
