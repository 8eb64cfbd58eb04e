"""Builds tests/cpp/exact_math.cpp with the system compiler and runs it."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
FLAGS = {"baseline": (), "avx2": ("-mavx2", "-mfma"), "avx512f": ("-mavx512f",)}


def build(folder: Path, variant: str) -> Path:
    """Return the program compiled for one instruction set, warnings as errors."""
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("no C++ compiler (set CXX)")
    program = folder / f"exact_math_{variant}"
    command = [*compiler.split(), "-std=c++20", "-O3", "-ffp-contract=off", "-pthread"]
    command += ["-Wall", "-Wextra", "-Wshadow", "-Werror", f"-I{ROOT / 'csrc'}", *FLAGS[variant]]
    command += [str(ROOT / "tests" / "cpp" / "exact_math.cpp"), "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


def run(program: Path, *arguments: object, **environment: str) -> str:
    """Return what the program prints."""
    command = [str(program), *map(str, arguments)]
    env = {**os.environ, **environment}
    return subprocess.run(command, capture_output=True, text=True, check=True, env=env).stdout


def fields(line: str) -> dict[str, str]:
    """Return the printed ``name value`` pairs."""
    words = line.split()
    return dict(zip(words[::2], words[1::2], strict=True))


def dump(program: Path, what: str, inputs: NDArray[np.generic], dtype: type) -> NDArray[np.generic]:
    """Return the program's values for raw inputs."""
    source, target = program.with_suffix(".in"), program.with_suffix(".out")
    np.ascontiguousarray(inputs).tofile(source)
    run(program, "dump", what, source, target)
    return np.fromfile(target, dtype=dtype)


def variants(program: Path) -> list[str]:
    """Return the instruction sets that this machine can run."""
    if platform.machine() not in {"x86_64", "AMD64"}:
        return ["baseline"]
    return run(program, "cpu").split()
