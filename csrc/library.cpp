// The kernel library: registers the ops with torch when it is loaded, by the stable ABI, and says
// what it is. The schemas are declared in Python.
#include "library.h"

#include <torch/csrc/stable/library.h>
#include <torch/headeronly/version.h>

#include <exception>
#include <string>

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
  table.impl("adaptor_step", TORCH_BOX(&aligndec::adaptor_step));
  table.impl("adaptor_score", TORCH_BOX(&aligndec::adaptor_score));
  table.impl("adaptor_grid", TORCH_BOX(&aligndec::adaptor_grid));
  table.impl("adaptor_mask", TORCH_BOX(&aligndec::adaptor_mask));
  table.impl("adaptor_score_backward", TORCH_BOX(&aligndec::adaptor_score_backward));
  table.impl("imh_chain", TORCH_BOX(&aligndec::imh_chain));
  table.impl("imh_resample", TORCH_BOX(&aligndec::imh_resample));
  table.impl("candidates", TORCH_BOX(&aligndec::candidates));
  table.impl("segment_value", TORCH_BOX(&aligndec::segment_value));
  table.impl("rescore", TORCH_BOX(&aligndec::rescore));
  table.impl("combine_logits", TORCH_BOX(&aligndec::combine_logits));
  table.impl("smc_resample", TORCH_BOX(&aligndec::smc_resample));
  table.impl("tilt_stats", TORCH_BOX(&aligndec::tilt_stats));
  table.impl("tilt_solve", TORCH_BOX(&aligndec::tilt_solve));
}

void register_kernels() {
  static StableLibrary cpu(StableLibrary::Kind::IMPL, "aligndec", "CPU", __FILE__, __LINE__);
  add_ops(cpu);
  cpu.impl("branched_attention", TORCH_BOX(&aligndec::branched_attention));
  cpu.impl("adaptor_sets", TORCH_BOX(&aligndec::adaptor_sets));
  cpu.impl("adaptor_step_sets", TORCH_BOX(&aligndec::adaptor_step_sets));
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
