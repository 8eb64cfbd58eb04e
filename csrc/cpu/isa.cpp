#include "cpu/isa.h"

#include <atomic>
#include <cstring>

#include "launch/instruction_set.h"

namespace aligndec::cpu {
namespace {

enum class Isa : int { kBaseline, kAvx2, kAvx512 };
constexpr const char* kNames[] = {"baseline", "avx2", "avx512"};

bool is_supported(Isa isa) {
  if (isa == Isa::kBaseline) return true;
#if ALIGNDEC_X86_BUILDS
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                    __builtin_cpu_supports("f16c") && __builtin_cpu_supports("popcnt");
  if (isa == Isa::kAvx2) return avx2;
  return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

// The best that this machine supports, until set_instruction_set is told torch's own choice.
Isa initial_isa() {
  Isa isa = Isa::kAvx512;
  while (!is_supported(isa)) isa = static_cast<Isa>(static_cast<int>(isa) - 1);
  return isa;
}

std::atomic<Isa>& current() {
  static std::atomic<Isa> isa{initial_isa()};
  return isa;
}

}  // namespace

const char* instruction_set() { return kNames[static_cast<int>(current().load())]; }

bool set_instruction_set(const char* name) {
  for (const Isa isa : {Isa::kBaseline, Isa::kAvx2, Isa::kAvx512}) {
    if (std::strcmp(name, kNames[static_cast<int>(isa)]) != 0 || !is_supported(isa)) continue;
    current().store(isa);
    return true;
  }
  return false;
}

#if ALIGNDEC_X86_BUILDS
// Only what is chosen is called: the others may stand in instructions that this machine lacks.
template <class Make>
static auto choose(Make* baseline, Make* avx2, Make* avx512) {
  switch (current().load(std::memory_order_relaxed)) {
    case Isa::kAvx512:
      return avx512();
    case Isa::kAvx2:
      return avx2();
    default:
      return baseline();
  }
}
#define ALIGNDEC_CHOOSE(kernel) choose(baseline::kernel, avx2::kernel, avx512::kernel)
#else
#define ALIGNDEC_CHOOSE(kernel) baseline::kernel()
#endif

template <>
RowKernel<float> row_kernel<float>() {
  return ALIGNDEC_CHOOSE(row_kernel_float);
}
template <>
RowKernel<c10::Half> row_kernel<c10::Half>() {
  return ALIGNDEC_CHOOSE(row_kernel_half);
}
template <>
RowKernel<c10::BFloat16> row_kernel<c10::BFloat16>() {
  return ALIGNDEC_CHOOSE(row_kernel_bfloat16);
}
AttentionKernel attention_kernel() { return ALIGNDEC_CHOOSE(attention_kernel); }
FillLogU chain_kernel() { return ALIGNDEC_CHOOSE(chain_kernel); }
RunPool pool_kernel() { return ALIGNDEC_CHOOSE(pool_kernel); }
template <>
TiltKernel<float> tilt_kernel<float>() {
  return ALIGNDEC_CHOOSE(tilt_kernel_float);
}
template <>
TiltKernel<double> tilt_kernel<double>() {
  return ALIGNDEC_CHOOSE(tilt_kernel_double);
}
#undef ALIGNDEC_CHOOSE

void exp_array(const float* t, float* out, int64_t n) { row_kernel<float>().exp_array(t, out, n); }

}  // namespace aligndec::cpu
