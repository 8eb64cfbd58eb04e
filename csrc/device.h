// Where an op runs: the one file that asks whether the build has CUDA kernels.
#pragma once

#include "tensor.h"

#ifdef ALIGNDEC_WITH_CUDA
#include <cuda_runtime.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/macros.h>
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
void launch([[maybe_unused]] const Tensor& tensor, const Args& args) {
#ifdef ALIGNDEC_WITH_CUDA
  if (tensor.is_cuda()) {
    const int32_t device = tensor.device_index();
    const torch::stable::accelerator::DeviceGuard guard(device);
    void* stream = nullptr;
    TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(device, &stream));
    STD_CUDA_CHECK(static_cast<cudaError_t>(kCuda(args, static_cast<cudaStream_t>(stream))));
    return;
  }
#endif
  kCpu(args);
}

}  // namespace aligndec
