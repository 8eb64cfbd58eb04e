// The builds of the kernels and the choice between them.
#pragma once

#include "cpu/attention_types.h"
#include "cpu/chain_types.h"
#include "cpu/pool_types.h"
#include "cpu/row_types.h"
#include "cpu/tilt_types.h"
#include "launch/half.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define ALIGNDEC_X86_BUILDS 1
#else
#define ALIGNDEC_X86_BUILDS 0
#endif

namespace aligndec::cpu {

#define ALIGNDEC_DECLARE_BUILD(isa)               \
  namespace isa {                                 \
  AttentionKernel attention_kernel();             \
  FillLogU chain_kernel();                        \
  RunPool pool_kernel();                          \
  TiltKernel<float> tilt_kernel_float();          \
  TiltKernel<double> tilt_kernel_double();        \
  RowKernel<float> row_kernel_float();            \
  RowKernel<c10::Half> row_kernel_half();         \
  RowKernel<c10::BFloat16> row_kernel_bfloat16(); \
  }
ALIGNDEC_DECLARE_BUILD(baseline)
#if ALIGNDEC_X86_BUILDS
ALIGNDEC_DECLARE_BUILD(avx2)
ALIGNDEC_DECLARE_BUILD(avx512)
#endif
#undef ALIGNDEC_DECLARE_BUILD

// The kernels of the instruction set in use.
template <class T>
RowKernel<T> row_kernel();
AttentionKernel attention_kernel();
FillLogU chain_kernel();
RunPool pool_kernel();
template <class T>
TiltKernel<T> tilt_kernel();

}  // namespace aligndec::cpu
