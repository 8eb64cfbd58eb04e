"""Build of the extension `aligndec._C`; everything else stands in pyproject.toml.

Environment: ALIGNDEC_CUDA=auto|0|1 (CUDA kernels), TORCH_CUDA_ARCH_LIST, ALIGNDEC_NATIVE=0 (no
extension), ALIGNDEC_DEV=1 (warnings are errors), ALIGNDEC_SANITIZE=1 (address and undefined).
"""

import os
import shlex
import subprocess
import sys
from glob import glob

from setuptools import setup

CUDA_FLAGS = ["-O3", "-std=c++20", "--fmad=false", "--ftz=false"]
CUDA_ARCHITECTURES = "8.0;8.6;8.9;9.0+PTX"  # a GPU need not be there; PTX serves later ones
CXX_FLAGS = "-O3 -g0 -std=c++20 -ffp-contract=off -fopenmp -Wall -Wextra -Wshadow".split()
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


def extension() -> dict:
    try:
        import torch
        from torch.utils import cpp_extension as cpp

        if torch.__version__ < "2.10":
            raise ImportError(f"found torch {torch.__version__}")
    except ImportError as error:
        stop(
            f"the build needs torch >= 2.10 in the same environment ({error}): run `pip install "
            "torch setuptools ninja` and then `pip install --no-build-isolation .`, because an "
            "isolated build cannot see the torch that the extension must match."
        )

    class Build(cpp.BuildExtension):
        def build_extensions(self) -> None:
            check_compiler()
            super().build_extensions()

    sources = [s for s in glob("csrc/**/*.cpp", recursive=True) if not s.startswith("csrc/cuda/")]
    kernels = glob("csrc/cuda/*.cu")
    needs = {"CUDA sources": kernels, "a CUDA build of torch": torch.version.cuda}
    needs["nvcc (CUDA_HOME)"] = cpp.CUDA_HOME
    missing = " and ".join(need for need, found in needs.items() if not found)
    wanted = switch("ALIGNDEC_CUDA", "auto", "auto", "0", "1")
    if wanted == "1" and missing:
        stop(f"ALIGNDEC_CUDA=1, without {missing}: set ALIGNDEC_CUDA=0 to build for CPU.")
    cuda = wanted != "0" and not missing
    sanitize = switch("ALIGNDEC_SANITIZE", "0", "0", "1") == "1"
    strict = switch("ALIGNDEC_DEV", "0", "0", "1") == "1"
    macros = [("ALIGNDEC_TORCH_VERSION", f'"{torch.__version__}"')]
    if cuda:
        found = (os.environ.get("TORCH_CUDA_ARCH_LIST") or CUDA_ARCHITECTURES).replace(" ", ";")
        os.environ["TORCH_CUDA_ARCH_LIST"] = found
        macros += [("ALIGNDEC_WITH_CUDA", None), ("ALIGNDEC_CUDA_ARCHITECTURES", f'"{found}"')]
    # gcc prefers -isystem over -I of the same path: the warnings of torch's headers stay out.
    system = cpp.include_paths("cuda" if cuda else "cpu")
    flags = CXX_FLAGS + [f"-isystem{path}" for path in system] + ["-Werror"] * strict
    if sanitize:
        flags += [*SANITIZE, "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-O1", "-g"]
    module = (cpp.CUDAExtension if cuda else cpp.CppExtension)(
        "aligndec._C",
        sorted(sources + kernels * cuda),
        include_dirs=[os.path.abspath("csrc")],
        define_macros=macros,
        extra_compile_args={"cxx": flags, "nvcc": CUDA_FLAGS + ["-Werror=all-warnings"] * strict},
        extra_link_args=["-fopenmp", *(SANITIZE * sanitize)],
        depends=sorted(glob("csrc/**/*.h", recursive=True) + glob("csrc/**/*.cuh", recursive=True)),
    )
    return {"ext_modules": [module], "cmdclass": {"build_ext": Build}}


setup(**(extension() if switch("ALIGNDEC_NATIVE", "1", "0", "1") == "1" else {}))
