// The module aligndec._C: what the kernel library is, and the choice of its instruction set. It
// links neither torch nor the library, so that it can say why one of them does not load.
#include <dlfcn.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <sstream>
#include <string>
#include <vector>

#include "library.h"

namespace {

const aligndec::Library* opened = nullptr;

const aligndec::Library& library() {
  if (!opened) throw pybind11::import_error("aligndec._C: open must be called first");
  return *opened;
}

// Once it is open a library stays loaded: torch keeps pointers to its kernels.
void open(const std::string& path) {
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) throw pybind11::import_error(dlerror());
  using Table = const aligndec::Library* (*)();
  const auto table = reinterpret_cast<Table>(dlsym(handle, "aligndec_library"));
  if (!table || table()->layout != aligndec::kLibraryLayout) {
    throw pybind11::import_error(path + " and aligndec._C are of different builds");
  }
  if (table()->error) throw pybind11::import_error(table()->error);
  opened = table();
}

std::vector<std::string> cuda_architectures() {
  std::vector<std::string> names;
  std::istringstream list(library().cuda_architectures);
  for (std::string name; std::getline(list, name, ';');) names.push_back(name);
  return names;
}

pybind11::dict build_info() {
  pybind11::dict info;
  info["torch"] = library().torch;
  info["compiler"] = library().compiler;
  info["instruction_set"] = library().instruction_set();
  info["cuda_architectures"] = cuda_architectures();
  return info;
}

void set_instruction_set(const std::string& name) {
  if (!library().set_instruction_set(name.c_str())) {
    throw pybind11::value_error(
        "set_instruction_set: name must be \"baseline\", \"avx2\" or \"avx512\" as this machine "
        "has it, got \"" +
        name + "\"");
  }
}

void exp32_array(uintptr_t t, uintptr_t out, int64_t n) {
  const auto exp_array = library().exp_array;
  pybind11::gil_scoped_release release;
  exp_array(reinterpret_cast<const float*>(t), reinterpret_cast<float*>(out), n);
}

}  // namespace

PYBIND11_MODULE(_C, m) {
  m.doc() = "What the compiled kernels of aligndec are, and the choice of their instruction set.";
  m.attr("torch_version") = ALIGNDEC_TORCH_VERSION;
  m.def("open", &open, pybind11::arg("path"), "Open the kernel library for the calls below.");
  m.def("build_info", &build_info, "Versions, compiler and instruction set as a dict.");
  m.def(
      "instruction_set", [] { return library().instruction_set(); }, "The instruction set in use.");
  m.def("set_instruction_set", &set_instruction_set, pybind11::arg("name"),
        "Choose \"baseline\", \"avx2\" or \"avx512\" for all later calls.");
  m.def("exp32_array", &exp32_array, pybind11::arg("t"), pybind11::arg("out"), pybind11::arg("n"),
        "For tests: exp32 of n floats (a multiple of 16) between two addresses, by the kernel in "
        "use.");
}
