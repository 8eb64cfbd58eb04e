"""Build of the kernel library and of the module `aligndec._C`; the rest stands in pyproject.toml.

The library holds the kernels and no Python; it stands on torch's stable ABI, so that it serves
every torch from 2.10 on and every Python. The module says what it is, and knows no torch.

Environment: ALIGNDEC_CUDA=auto|0|1 (CUDA kernels), TORCH_CUDA_ARCH_LIST, ALIGNDEC_NATIVE=0 (neither
is built)|module (no library), ALIGNDEC_DEV=1 (warnings are errors), ALIGNDEC_SANITIZE=1.
"""

import os
import shlex
import subprocess
import sys
from glob import glob

from setuptools import Extension, setup

LIBRARY = "libaligndec_kernels"
CUDA_FLAGS = ["-O3", "-std=c++20", "--fmad=false", "--ftz=false"]
CUDA_ARCHITECTURES = "8.0;8.6;8.9;9.0+PTX"  # a GPU need not be there; PTX serves later ones
CXX_FLAGS = "-O3 -g0 -std=c++20 -ffp-contract=off -fvisibility=hidden -Wall -Wextra -Wshadow"
SANITIZE = ["-fsanitize=address,undefined"]


def stop(sentence: str) -> None:
    sys.exit(f"aligndec: {sentence}")


def switch(name: str, default: str, *allowed: str) -> str:
    value = os.environ.get(name, default)
    if value not in allowed:
        stop(f"{name} must be one of {', '.join(allowed)}, got {value!r}.")
    return value


def check_compiler() -> None:
    compiler = shlex.split(os.environ.get("CXX") or "c++")
    command = [*compiler, "-std=c++20", "-x", "c++", "-fsyntax-only", "-"]
    try:
        run = subprocess.run(command, input="#include <bit>\n", capture_output=True, text=True)
        reason = (run.stderr.strip() or "it failed").splitlines()[0] if run.returncode else ""
    except OSError as error:
        reason = error.strerror
    if reason:
        stop(
            f"no working C++20 compiler ({compiler[0]}: {reason}): install g++ >= 11, point CXX to "
            "one, or set ALIGNDEC_NATIVE=0 to install without the compiled kernels."
        )


def extensions() -> dict:
    try:
        import pybind11
        import torch
        from torch.utils import cpp_extension as cpp

        if torch.__version__ < "2.10":
            raise ImportError(f"found torch {torch.__version__}")
    except ImportError as error:
        stop(
            f"the build needs torch >= 2.10 and pybind11 ({error}): `pip install .` fetches them; "
            "`pip install --no-build-isolation .` wants them installed, with setuptools and ninja."
        )

    class Build(cpp.BuildExtension):
        def build_extensions(self) -> None:
            check_compiler()
            super().build_extensions()

        def get_ext_filename(self, name: str) -> str:
            path = super().get_ext_filename(name)
            return path.partition(".")[0] + ".so" if name.endswith(LIBRARY) else path

    kernels = glob("csrc/cuda/*.cu")
    needs = {"CUDA sources": kernels, "a CUDA build of torch": torch.version.cuda}
    header = os.path.join(cpp.CUDA_HOME or "", "include", "cuda_runtime.h")
    needs |= {"nvcc with its headers (CUDA_HOME)": os.path.isfile(header)}
    missing = " and ".join(need for need, found in needs.items() if not found)
    wanted = switch("ALIGNDEC_CUDA", "auto", "auto", "0", "1")
    if wanted == "1" and missing:
        stop(f"ALIGNDEC_CUDA=1, without {missing}: set ALIGNDEC_CUDA=0 to build for CPU.")
    cuda = wanted != "0" and not missing
    strict, sanitize = (switch(f"ALIGNDEC_{x}", "0", "0", "1") == "1" for x in ("DEV", "SANITIZE"))
    flags = CXX_FLAGS.split() + ["-Werror"] * strict
    nvcc = CUDA_FLAGS + ["-Werror=all-warnings"] * strict
    macros = [("TORCH_TARGET_VERSION", "0x020a000000000000")]  # the oldest that is served: 2.10
    if cuda:
        found = (os.environ.get("TORCH_CUDA_ARCH_LIST") or CUDA_ARCHITECTURES).replace(" ", ";")
        os.environ["TORCH_CUDA_ARCH_LIST"] = found
        macros += [("ALIGNDEC_WITH_CUDA", None), ("ALIGNDEC_CUDA_ARCHITECTURES", f'"{found}"')]
        macros += [("USE_CUDA", None)]  # torch's headers: show what only a CUDA build has
    if sanitize:
        flags += [*SANITIZE, "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-O1", "-g"]
    # gcc prefers -isystem over -I of the same path: the warnings of torch's headers stay out.
    system = cpp.include_paths("cuda" if cuda else "cpu")
    headers = sorted(glob("csrc/**/*.h", recursive=True) + glob("csrc/cuda/*.cuh"))
    common = {"extra_link_args": SANITIZE * sanitize, "depends": headers, "language": "c++"}
    library = Extension(
        f"aligndec.{LIBRARY}",
        sorted({*glob("csrc/**/*.cpp", recursive=True)} - {"csrc/bindings.cpp"}) + kernels * cuda,
        include_dirs=[os.path.abspath("csrc"), *system],
        library_dirs=cpp.library_paths("cuda" if cuda else "cpu"),
        libraries=["torch_cpu"] + ["torch_cuda", "cudart"] * cuda,
        define_macros=macros,
        extra_compile_args={"cxx": flags + [f"-isystem{p}" for p in system], "nvcc": nvcc},
        **common,
    )
    module = Extension(
        "aligndec._C",
        ["csrc/bindings.cpp"],
        define_macros=[("ALIGNDEC_TORCH_VERSION", f'"{torch.__version__}"')],
        extra_compile_args={"cxx": [*flags, f"-isystem{pybind11.get_include()}"]},
        **common,
    )
    return {"ext_modules": [library] * (NATIVE == "1") + [module], "cmdclass": {"build_ext": Build}}


NATIVE = switch("ALIGNDEC_NATIVE", "1", "0", "1", "module")
setup(**(extensions() if NATIVE != "0" else {}))
