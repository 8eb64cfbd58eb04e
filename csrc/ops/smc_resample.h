// The wrapper that bindings.cpp registers; the schema stands in aligndec/_imh_ops.py.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

namespace aligndec {

std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor> smc_resample(
    const at::Tensor& log_weight, double threshold, int64_t scheme, int64_t seed,
    const std::optional<at::Tensor>& sequence_ids, int64_t position,
    const std::optional<at::Tensor>& positions, const std::optional<at::Tensor>& uniforms);

}  // namespace aligndec
