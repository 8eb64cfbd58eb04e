// The wrapper that bindings.cpp registers; the schema stands in aligndec/_tq_ops.py.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

namespace aligndec {

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> rescore(
    const at::Tensor& log_p, const at::Tensor& value, const at::Tensor& alpha, bool greedy,
    int64_t seed, const std::optional<at::Tensor>& sequence_ids, int64_t position,
    const std::optional<at::Tensor>& positions, const std::optional<at::Tensor>& uniforms);

}  // namespace aligndec
