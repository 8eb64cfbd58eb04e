// The wrapper that bindings.cpp registers; the schema stands in aligndec/_imh_ops.py.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

namespace aligndec {

std::tuple<at::Tensor, at::Tensor, at::Tensor> imh_chain(
    const at::Tensor& log_weight, int64_t seed, const std::optional<at::Tensor>& sequence_ids,
    const std::optional<at::Tensor>& uniforms);

}  // namespace aligndec
