// The wrapper that bindings.cpp registers; the schema stands in aligndec/_tq_ops.py.
#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>

namespace aligndec {

std::tuple<at::Tensor, at::Tensor, at::Tensor> candidates(const at::Tensor& logits, int64_t k,
                                                          int64_t valid_vocab);

}  // namespace aligndec
