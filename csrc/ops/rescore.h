// The wrapper that library.cpp registers; the schema stands in aligndec/ops/transfer_q.py.
#pragma once

#include "tensor.h"

namespace aligndec {

std::tuple<Tensor, Tensor, Tensor, Tensor> rescore(const Tensor& log_p, const Tensor& value,
                                                   const Tensor& alpha, bool greedy, int64_t seed,
                                                   const OptionalTensor& sequence_ids,
                                                   int64_t position,
                                                   const OptionalTensor& positions,
                                                   const OptionalTensor& uniforms);

}  // namespace aligndec
