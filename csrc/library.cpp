// The kernel library: registers the ops with torch when it is loaded, by the stable ABI, and says
// what it is. The schemas are declared in Python.
#include "library.h"

#include <torch/headeronly/version.h>

#include <exception>
#include <string>

#include "box.h"
#include "device.h"
#include "launch/instruction_set.h"
#include "ops/adaptor_step.h"
#include "ops/branched_attention.h"
#include "ops/candidates.h"
#include "ops/combine_logits.h"
#include "ops/imh_chain.h"
#include "ops/imh_resample.h"
#include "ops/rescore.h"
#include "ops/segment_value.h"
#include "ops/smc_resample.h"
#include "ops/tilt.h"

#ifndef TORCH_TARGET_VERSION
#error "TORCH_TARGET_VERSION must be defined by the build (setup.py does)"
#endif

namespace {

using torch::stable::detail::StableLibrary;

// These have a kernel on every device.
void add_ops(StableLibrary& table) {
  table.impl("adaptor_step", aligndec::Box<&aligndec::adaptor_step>::call);
  table.impl("adaptor_score", aligndec::Box<&aligndec::adaptor_score>::call);
  table.impl("adaptor_grid", aligndec::Box<&aligndec::adaptor_grid>::call);
  table.impl("adaptor_mask", aligndec::Box<&aligndec::adaptor_mask>::call);
  table.impl("adaptor_score_backward", aligndec::Box<&aligndec::adaptor_score_backward>::call);
  table.impl("imh_chain", aligndec::Box<&aligndec::imh_chain>::call);
  table.impl("imh_resample", aligndec::Box<&aligndec::imh_resample>::call);
  table.impl("candidates", aligndec::Box<&aligndec::candidates>::call);
  table.impl("segment_value", aligndec::Box<&aligndec::segment_value>::call);
  table.impl("rescore", aligndec::Box<&aligndec::rescore>::call);
  table.impl("combine_logits", aligndec::Box<&aligndec::combine_logits>::call);
  table.impl("smc_resample", aligndec::Box<&aligndec::smc_resample>::call);
  table.impl("tilt_stats", aligndec::Box<&aligndec::tilt_stats>::call);
  table.impl("tilt_solve", aligndec::Box<&aligndec::tilt_solve>::call);
}

void register_kernels() {
  static StableLibrary cpu(StableLibrary::Kind::IMPL, "aligndec", "CPU", __FILE__, __LINE__);
  add_ops(cpu);
  cpu.impl("branched_attention", aligndec::Box<&aligndec::branched_attention>::call);
  cpu.impl("adaptor_sets", aligndec::Box<&aligndec::adaptor_sets>::call);
  cpu.impl("adaptor_step_sets", aligndec::Box<&aligndec::adaptor_step_sets>::call);
  if constexpr (aligndec::kWithCuda) {
    static StableLibrary cuda(StableLibrary::Kind::IMPL, "aligndec", "CUDA", __FILE__, __LINE__);
    add_ops(cuda);
  }
}

// An exception that leaves the initialisation of a library ends the process: it is kept for Python.
std::string error_of_registration() {
  try {
    register_kernels();
    return {};
  } catch (const std::exception& error) {
    return *error.what() ? error.what() : "unknown error";
  }
}
const std::string registration_error = error_of_registration();

}  // namespace

__attribute__((visibility("default"))) const aligndec::Library* aligndec_library() {
  static const aligndec::Library library{
      aligndec::kLibraryLayout,
      TORCH_VERSION,
      __VERSION__,
      aligndec::kCudaArchitectures,
      registration_error.empty() ? nullptr : registration_error.c_str(),
      &aligndec::cpu::instruction_set,
      &aligndec::cpu::set_instruction_set,
      &aligndec::cpu::exp_array,
  };
  return &library;
}
