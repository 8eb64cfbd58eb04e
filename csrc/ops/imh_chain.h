// The wrapper that library.cpp registers; the schema stands in aligndec/ops/imh.py.
#pragma once

#include "tensor.h"

namespace aligndec {

std::tuple<Tensor, Tensor, Tensor> imh_chain(const Tensor& log_weight, int64_t seed,
                                             const OptionalTensor& sequence_ids,
                                             const OptionalTensor& uniforms);

}  // namespace aligndec
