// What the chain kernel reads and writes, the same for every instruction set.
#pragma once

#include <cstdint>

namespace aligndec::cpu {

// The logarithms of this many steps are taken together, in the cache of one core.
constexpr int kChainSteps = 512;

// ln u of the steps [first, first + count) of one chain, count <= kChainSteps: of `uniforms`, or
// drawn where that is null. log_u has room for kChainSteps.
using FillLogU = void (*)(const double* uniforms, uint64_t seed, uint64_t sequence, int64_t first,
                          int64_t count, double* log_u);

}  // namespace aligndec::cpu
