// The CPU instruction set that the kernels use.
#pragma once

#include <cstdint>

namespace aligndec::cpu {

const char* instruction_set();
// "avx512", "avx2" or "baseline"; false when this machine or this build lacks it.
bool set_instruction_set(const char* name);
// exp32 as the kernel in use computes it; n a multiple of 16.
void exp_array(const float* t, float* out, int64_t n);

}  // namespace aligndec::cpu
