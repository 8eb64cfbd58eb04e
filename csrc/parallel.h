// Loops over torch's threads. torch runs them, so the library needs no OpenMP of its own.
#pragma once

#include <torch/csrc/stable/ops.h>

#include <cstdint>

namespace aligndec {

// Calls body(first, last) on pieces of [begin, end) of at least `grain`; inside another such loop,
// once, on all of it.
using torch::stable::parallel_for;

inline int64_t get_num_threads() { return torch::stable::get_num_threads(); }

}  // namespace aligndec
