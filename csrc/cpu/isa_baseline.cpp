// The kernels for any machine.
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
#include "cpu/isa.h"

namespace aligndec::cpu::baseline {

#include "cpu/portable_select.h"
//
#include "cpu/simd_scalar.h"
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

}  // namespace aligndec::cpu::baseline
