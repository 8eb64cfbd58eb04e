// Registers the compiled kernels with torch and offers the module aligndec._C: what was built, and
// the choice of instruction set.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>
#include <torch/library.h>

#include <sstream>
#include <string>
#include <vector>

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
#include "ops/tilt.h"

#ifndef ALIGNDEC_TORCH_VERSION
#error "ALIGNDEC_TORCH_VERSION must be defined by the build (setup.py does)"
#endif

namespace {

// These have a kernel on every device.
void add_ops(torch::Library& table) {
  table.impl("adaptor_step", &aligndec::adaptor_step);
  table.impl("adaptor_score", &aligndec::adaptor_score);
  table.impl("adaptor_grid", &aligndec::adaptor_grid);
  table.impl("adaptor_mask", &aligndec::adaptor_mask);
  table.impl("adaptor_score_backward", &aligndec::adaptor_score_backward);
  table.impl("imh_chain", &aligndec::imh_chain);
  table.impl("imh_resample", &aligndec::imh_resample);
  table.impl("candidates", &aligndec::candidates);
  table.impl("segment_value", &aligndec::segment_value);
  table.impl("rescore", &aligndec::rescore);
  table.impl("combine_logits", &aligndec::combine_logits);
  table.impl("tilt_stats", &aligndec::tilt_stats);
  table.impl("tilt_solve", &aligndec::tilt_solve);
}

// Called when the module is imported, not when it is loaded: a schema that does not fit then is an
// error that Python can report.
void register_kernels() {
  static auto cpu = MAKE_TORCH_LIBRARY_IMPL(aligndec, CPU);
  add_ops(cpu);
  cpu.impl("branched_attention", &aligndec::branched_attention);
  cpu.impl("adaptor_sets", &aligndec::adaptor_sets);
  cpu.impl("adaptor_step_sets", &aligndec::adaptor_step_sets);
  if constexpr (aligndec::kWithCuda) {
    static auto cuda = MAKE_TORCH_LIBRARY_IMPL(aligndec, CUDA);
    add_ops(cuda);
  }
}

std::vector<std::string> cuda_architectures() {
  std::vector<std::string> names;
  std::istringstream list(aligndec::kCudaArchitectures);
  for (std::string name; std::getline(list, name, ';');) names.push_back(name);
  return names;
}

pybind11::dict build_info() {
  pybind11::dict info;
  info["torch"] = ALIGNDEC_TORCH_VERSION;
  info["compiler"] = __VERSION__;
  info["instruction_set"] = aligndec::cpu::instruction_set();
  info["cuda_architectures"] = cuda_architectures();
  return info;
}

void set_instruction_set(const std::string& name) {
  if (!aligndec::cpu::set_instruction_set(name.c_str())) {
    throw pybind11::value_error(
        "set_instruction_set: name must be \"baseline\", \"avx2\" or \"avx512\" as this machine "
        "has it, got \"" +
        name + "\"");
  }
}

}  // namespace

PYBIND11_MODULE(_C, m) {
  register_kernels();
  m.doc() = "Compiled kernels of aligndec; importing it registers them.";
  m.attr("torch_version") = ALIGNDEC_TORCH_VERSION;
  m.def("build_info", &build_info, "Versions, compiler and instruction set as a dict.");
  m.def("instruction_set", &aligndec::cpu::instruction_set, "The instruction set in use.");
  m.def("set_instruction_set", &set_instruction_set, pybind11::arg("name"),
        "Choose \"baseline\", \"avx2\" or \"avx512\" for all later calls.");
  m.def(
      "exp32_array",
      [](uintptr_t t, uintptr_t out, int64_t n) {
        pybind11::gil_scoped_release release;
        aligndec::cpu::exp_array(reinterpret_cast<const float*>(t), reinterpret_cast<float*>(out),
                                 n);
      },
      pybind11::arg("t"), pybind11::arg("out"), pybind11::arg("n"),
      "For tests: exp32 of n floats (a multiple of 16) between two addresses, by the kernel in "
      "use.");
}
