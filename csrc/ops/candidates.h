// The wrapper that library.cpp registers; the schema stands in aligndec/ops/transfer_q.py.
#pragma once

#include "tensor.h"

namespace aligndec {

std::tuple<Tensor, Tensor, Tensor> candidates(const Tensor& logits, int64_t k, int64_t valid_vocab);

}  // namespace aligndec
