// What the host and the device compiler disagree about, and nothing else: the one file of core/
// that asks which compiler runs. Everything here gives the same bits on both.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__CUDACC__)
#define ALIGNDEC_HD __host__ __device__ __forceinline__
#elif defined(__GNUC__)
#define ALIGNDEC_HD inline __attribute__((always_inline))
#else
#define ALIGNDEC_HD inline
#endif

// Templates over code that only the device has, when there is a device compiler.
#if defined(__CUDACC__)
#define ALIGNDEC_D __device__ __forceinline__
#else
#define ALIGNDEC_D ALIGNDEC_HD
#endif

// Before a loop of fixed length: unroll it, so that a loop around it can be vectorised.
#if defined(__CUDACC__) || defined(__clang__)
#define ALIGNDEC_UNROLL _Pragma("unroll")
#elif defined(__GNUC__)
#define ALIGNDEC_UNROLL _Pragma("GCC unroll 16")
#else
#define ALIGNDEC_UNROLL
#endif

namespace aligndec::core {

// The same bits read as another type of the same size.
template <class To, class From>
ALIGNDEC_HD To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof(To));
  return to;
}

// a * b + c in float32 with one rounding. Without a hardware FMA the host calls libm, which is
// exact too.
ALIGNDEC_HD float fma32(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rn(a, b, c);
#else
  return __builtin_fmaf(a, b, c);
#endif
}

// The same rounded down, for c a power of two from 2^23 on and a * b >= 0; right below 2 c.
ALIGNDEC_HD float fma32_down(float a, float b, float c) {
#if defined(__CUDA_ARCH__)
  return __fmaf_rd(a, b, c);
#else
  const float nearest = __builtin_fmaf(a, b, c);
  // Both sides are exact in float64.
  const double product = static_cast<double>(a) * static_cast<double>(b);
  const bool above = static_cast<double>(nearest) - static_cast<double>(c) > product;
  return above ? bit_cast<float>(bit_cast<uint32_t>(nearest) - 1) : nearest;
#endif
}

// The larger one, NaN if either is.
ALIGNDEC_HD float max_or_nan(float a, float b) {
#if defined(__CUDA_ARCH__)
  float most;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(most) : "f"(a), "f"(b));
  return most;
#else
  return a != a || a > b ? a : b;
#endif
}

// a * b + c in float64 with one rounding.
ALIGNDEC_HD double fma64(double a, double b, double c) {
#if defined(__CUDA_ARCH__)
  return __fma_rn(a, b, c);
#else
  return __builtin_fma(a, b, c);
#endif
}

// High 64 bits of the 128-bit product a * b.
ALIGNDEC_HD uint64_t mul_hi_u64(uint64_t a, uint64_t b) {
#if defined(__CUDA_ARCH__)
  return __umul64hi(a, b);
#elif defined(__SIZEOF_INT128__)
  __extension__ using u128 = unsigned __int128;
  return static_cast<uint64_t>((static_cast<u128>(a) * b) >> 64);
#else
  const uint64_t a0 = a & 0xffffffffu, a1 = a >> 32, b0 = b & 0xffffffffu, b1 = b >> 32;
  const uint64_t low = a0 * b0, m1 = a1 * b0, m2 = a0 * b1;
  const uint64_t carry = ((low >> 32) + (m1 & 0xffffffffu) + (m2 & 0xffffffffu)) >> 32;
  return a1 * b1 + (m1 >> 32) + (m2 >> 32) + carry;
#endif
}

}  // namespace aligndec::core
