// The kernels for AVX-512.
#include "cpu/isa.h"

#if ALIGNDEC_X86_BUILDS
#include <immintrin.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

#include "core/draw.h"
#include "core/logit.h"
#include "core/metropolis.h"
#include "core/philox.h"
#include "core/tilt/tilt.h"
#include "core/tilt/groups.h"
#include "core/wide.h"

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
#include "cpu/row_kernel.h"
//
#include "cpu/lanes.h"
//
#include "cpu/philox_lanes.h"
//
#include "cpu/chain_kernel.h"
//
#include "cpu/pool_draws.h"
//
#include "cpu/pool_kernel.h"
//
#include "cpu/tilt_lanes.h"
//
#include "cpu/tilt_kernel.h"
//
#include "cpu/attention_products.h"
//
#include "cpu/attention_kernel.h"

AttentionKernel attention_kernel() { return make_attention_kernel(); }
FillLogU chain_kernel() { return &fill_log_u; }
RunPool pool_kernel() { return &run_pool; }
TiltKernel<float> tilt_kernel_float() { return make_tilt_kernel<float>(); }
TiltKernel<double> tilt_kernel_double() { return make_tilt_kernel<double>(); }
RowKernel<float> row_kernel_float() { return make_row_kernel<float>(); }
RowKernel<c10::Half> row_kernel_half() { return make_row_kernel<c10::Half>(); }
RowKernel<c10::BFloat16> row_kernel_bfloat16() { return make_row_kernel<c10::BFloat16>(); }

}  // namespace aligndec::cpu::avx512
#pragma GCC diagnostic pop
#pragma GCC pop_options
#endif
