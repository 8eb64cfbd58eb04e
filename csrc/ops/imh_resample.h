// The wrapper that library.cpp registers; the schema stands in aligndec/ops/imh.py.
#pragma once

#include "tensor.h"

namespace aligndec {

std::tuple<Tensor, Tensor> imh_resample(const Tensor& log_weight, const Tensor& values,
                                        int64_t n_chains, int64_t n_steps, int64_t burn_in,
                                        int64_t seed);

}  // namespace aligndec
