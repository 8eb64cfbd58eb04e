// The wrapper that library.cpp registers; the schema stands in aligndec/ops/transfer_q.py.
#pragma once

#include "tensor.h"

namespace aligndec {

std::tuple<Tensor, Tensor, Tensor> segment_value(const Tensor& rewards,
                                                 const OptionalTensor& log_ratio, int64_t mode);

}  // namespace aligndec
