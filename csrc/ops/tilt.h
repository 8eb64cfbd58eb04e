// The wrappers that library.cpp registers; the schemas stand in aligndec/ops/tilt.py.
#pragma once

#include "tensor.h"

namespace aligndec {

Tensor tilt_stats(const OptionalTensor& log_p, const Tensor& r, const Tensor& beta);
std::tuple<Tensor, Tensor> tilt_solve(const OptionalTensor& log_p, const Tensor& r,
                                      const Tensor& target, int64_t kind, bool shared);

}  // namespace aligndec
