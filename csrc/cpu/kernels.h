// The kernels of a build and what hands them out (cpu/isa.h). Included once by each isa_*.cpp,
// inside of the build's namespace and target, after its lanes (simd_*.h); the empty comments keep
// the order.

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
