// The wrapper that bindings.cpp registers; the schema stands in aligndec/_tq_ops.py.
#pragma once

#include <ATen/core/Tensor.h>

namespace aligndec {

at::Tensor combine_logits(at::TensorList logits, at::ArrayRef<double> weights);

}  // namespace aligndec
