// The wrapper that bindings.cpp registers; the schema stands in aligndec/_tq_ops.py.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

namespace aligndec {

std::tuple<at::Tensor, at::Tensor, at::Tensor> segment_value(
    const at::Tensor& rewards, const std::optional<at::Tensor>& log_ratio, int64_t mode);

}  // namespace aligndec
