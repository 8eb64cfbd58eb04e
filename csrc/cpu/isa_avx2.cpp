// The kernels for AVX2 with FMA and F16C.
#include "cpu/kernels_need.h"

#if ALIGNDEC_X86_BUILDS
#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx2,fma,f16c,popcnt,bmi,bmi2")
namespace aligndec::cpu::avx2 {

#include "cpu/portable_select.h"
//
#include "cpu/words_avx2.h"
//
#include "cpu/simd_avx2.h"
//
#include "cpu/kernels.h"

}  // namespace aligndec::cpu::avx2
#pragma GCC pop_options
#endif
