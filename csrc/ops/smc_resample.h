// The wrapper that library.cpp registers; the schema stands in aligndec/ops/imh.py.
#pragma once

#include "tensor.h"

namespace aligndec {

std::tuple<Tensor, Tensor, Tensor, Tensor> smc_resample(const Tensor& log_weight, double threshold,
                                                        int64_t scheme, int64_t seed,
                                                        const OptionalTensor& sequence_ids,
                                                        int64_t position,
                                                        const OptionalTensor& positions,
                                                        const OptionalTensor& uniforms);

}  // namespace aligndec
