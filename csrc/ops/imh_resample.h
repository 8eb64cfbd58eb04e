// The wrapper that bindings.cpp registers; the schema stands in aligndec/_imh_ops.py.
#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>

namespace aligndec {

std::tuple<at::Tensor, at::Tensor> imh_resample(const at::Tensor& log_weight,
                                                const at::Tensor& values, int64_t n_chains,
                                                int64_t n_steps, int64_t burn_in, int64_t seed);

}  // namespace aligndec
