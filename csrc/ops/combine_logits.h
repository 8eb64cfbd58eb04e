// The wrapper that library.cpp registers; the schema stands in aligndec/_tq_ops.py.
#pragma once

#include "tensor.h"

namespace aligndec {

Tensor combine_logits(const std::vector<Tensor>& logits, const std::vector<double>& weights);

}  // namespace aligndec
