// The kernels for any machine.
#include "cpu/kernels_need.h"

namespace aligndec::cpu::baseline {

#include "cpu/portable_select.h"
//
#include "cpu/simd_scalar.h"
//
#include "cpu/kernels.h"

}  // namespace aligndec::cpu::baseline
