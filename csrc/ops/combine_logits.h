// The wrapper that library.cpp registers; the schema stands in aligndec/ops/transfer_q.py.
#pragma once

#include "tensor.h"

namespace aligndec {

Tensor combine_logits(const std::vector<Tensor>& logits, const std::vector<double>& weights);

}  // namespace aligndec
