// The wrapper that library.cpp registers; the schema stands in aligndec/ops/attention.py.
#pragma once

#include "tensor.h"

namespace aligndec {

Tensor branched_attention(const Tensor& query, const Tensor& prefix_keys,
                          const Tensor& prefix_values, const Tensor& keys, const Tensor& values,
                          const Tensor& order, const Tensor& start, const OptionalTensor& mask,
                          double scale);

}  // namespace aligndec
