// The kernels for AVX-512.
#include "cpu/kernels_need.h"

#if ALIGNDEC_X86_BUILDS
#include <immintrin.h>

#pragma GCC push_options
#pragma GCC diagnostic push
// gcc 12 takes its own _mm512_undefined_ps for a mistake.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,f16c,popcnt,bmi,bmi2")
namespace aligndec::cpu::avx512 {

#include "cpu/select_avx512.h"
//
#include "cpu/simd_avx512.h"
//
#include "cpu/kernels.h"

}  // namespace aligndec::cpu::avx512
#pragma GCC diagnostic pop
#pragma GCC pop_options
#endif
