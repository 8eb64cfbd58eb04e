// The wrapper that library.cpp registers; the schema stands in aligndec/_tq_ops.py.
#pragma once

#include "tensor.h"

namespace aligndec {

std::tuple<Tensor, Tensor, Tensor> candidates(const Tensor& logits, int64_t k, int64_t valid_vocab);

}  // namespace aligndec
