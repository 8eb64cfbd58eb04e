// The wrappers that bindings.cpp registers; the schemas stand in aligndec/_tilt_ops.py.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <tuple>

namespace aligndec {

at::Tensor tilt_stats(const std::optional<at::Tensor>& log_p, const at::Tensor& r,
                      const at::Tensor& beta);
std::tuple<at::Tensor, at::Tensor> tilt_solve(const std::optional<at::Tensor>& log_p,
                                              const at::Tensor& r, const at::Tensor& target,
                                              int64_t kind, bool shared);

}  // namespace aligndec
