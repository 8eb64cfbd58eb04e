// What the kernel library offers beside the ops that it registers with torch. It holds no Python,
// so it serves every version of it; the module aligndec._C finds this table by its one C name.
#pragma once

#include <cstdint>

namespace aligndec {

inline constexpr int32_t kLibraryLayout = 1;  // one more with every change of the table

struct Library {
  int32_t layout;
  const char* torch;               // whose headers it was compiled with
  const char* compiler;            // and its version
  const char* cuda_architectures;  // as in TORCH_CUDA_ARCH_LIST, separated by semicolons
  const char* error;               // why torch did not take the ops, or null
  const char* (*instruction_set)();
  bool (*set_instruction_set)(const char* name);
  void (*exp_array)(const float* t, float* out, int64_t n);
};

}  // namespace aligndec

extern "C" const aligndec::Library* aligndec_library();
