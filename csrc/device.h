// Where an op runs: the one file that asks whether the build has CUDA kernels.
#pragma once

#include <ATen/core/Tensor.h>

#ifdef ALIGNDEC_WITH_CUDA
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#endif

namespace aligndec {

#ifdef ALIGNDEC_WITH_CUDA
inline constexpr bool kWithCuda = true;
// As in TORCH_CUDA_ARCH_LIST, separated by semicolons.
inline constexpr const char* kCudaArchitectures = ALIGNDEC_CUDA_ARCHITECTURES;
#else
inline constexpr bool kWithCuda = false;
inline constexpr const char* kCudaArchitectures = "";
#endif

// Runs the kernel of the device that holds `tensor`: kCpu(args), or kCuda(args, stream), a
// cudaError_t, on the current stream of that device. The launchers are template arguments because
// a build without CUDA must not refer to the second one: there it is declared, but not defined.
template <auto kCpu, auto kCuda, class Args>
void launch([[maybe_unused]] const at::Tensor& tensor, const Args& args) {
#ifdef ALIGNDEC_WITH_CUDA
  if (tensor.is_cuda()) {
    const c10::cuda::CUDAGuard guard(tensor.device());
    C10_CUDA_CHECK(static_cast<cudaError_t>(kCuda(args, c10::cuda::getCurrentCUDAStream())));
    return;
  }
#endif
  kCpu(args);
}

}  // namespace aligndec
