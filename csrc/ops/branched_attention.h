// The wrapper that bindings.cpp registers; the schema stands in aligndec/_attention_ops.py.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

namespace aligndec {

at::Tensor branched_attention(const at::Tensor& query, const at::Tensor& prefix_keys,
                              const at::Tensor& prefix_values, const at::Tensor& keys,
                              const at::Tensor& values, const at::Tensor& order,
                              const at::Tensor& start, const std::optional<at::Tensor>& mask,
                              double scale);

}  // namespace aligndec
