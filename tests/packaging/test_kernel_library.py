"""The kernel library: what it stands on, and what is said when it does not load."""

import ctypes
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import aligndec as ad
from aligndec.ops import library as kernels

PACKAGE = Path(ad.__file__).parent
ROOT = PACKAGE.parent
needs_tools = pytest.mark.skipif(
    shutil.which("nm") is None or shutil.which("cc") is None, reason="no nm or no compiler"
)


def symbols(path: str | Path, which: str) -> set[str]:
    command = ["nm", "-D", which, "--format=posix", str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return {line.split()[0] for line in run.stdout.splitlines()}


@needs_tools
def test_the_library_stands_on_the_stable_abi_alone(native: None) -> None:
    """Of torch its C functions only; nothing of Python, ATen, c10 or an OpenMP of its own."""
    wanted = symbols(kernels.KERNELS, "--undefined-only")
    of_torch = {name for name in wanted if "torch" in name or re.search(r"N2at|N3c10|2at6", name)}
    assert {"aoti_torch_empty_strided", "torch_library_impl", "torch_parallel_for"} <= of_torch
    assert all(re.fullmatch(r"(aoti_)?torch_\w+", name) for name in of_torch), of_torch
    foreign = {name for name in wanted if re.match(r"_?Py|GOMP|omp_", name)}
    assert not foreign, foreign
    assert "aligndec_library" in symbols(kernels.KERNELS, "--defined-only")


@needs_tools
def test_the_module_knows_no_torch(native: None) -> None:
    wanted = symbols(kernels.extension.__file__, "--undefined-only")
    assert any(name.startswith("Py") for name in wanted)
    assert not {name for name in wanted if "torch" in name or "c10" in name}


def test_every_op_has_its_kernel(native: None) -> None:
    for name in kernels.torch_ops._fields:
        if name != "dtypes":
            key = (f"aligndec::{name}", "CPU")
            assert torch._C._dispatch_has_kernel_for_dispatch_key(*key), name
    missing = ("aligndec::adaptor_step", "MPS")
    assert not torch._C._dispatch_has_kernel_for_dispatch_key(*missing)


def test_module_and_library_have_one_instruction_set(native: None) -> None:
    class Table(ctypes.Structure):  # csrc/library.h
        _fields_ = (
            ("layout", ctypes.c_int32),
            *((name, ctypes.c_char_p) for name in ("torch", "compiler", "cuda", "error")),
            ("instruction_set", ctypes.CFUNCTYPE(ctypes.c_char_p)),
        )

    library = ctypes.CDLL(str(kernels.KERNELS))
    library.aligndec_library.restype = ctypes.POINTER(Table)
    table = library.aligndec_library().contents
    assert table.error is None
    before = kernels.extension.instruction_set()
    try:
        assert table.instruction_set().decode() == before
        kernels.extension.set_instruction_set("baseline")
        assert table.instruction_set() == b"baseline"
    finally:
        kernels.extension.set_instruction_set(before)


@pytest.mark.parametrize(("capability", "wanted"), [("default", "baseline"), ("avx2", "avx2")])
def test_torchs_choice_of_instruction_set_is_ours(
    native: None, capability: str, wanted: str
) -> None:
    script = "import torch, aligndec; print(torch.backends.cpu.get_cpu_capability()); "
    script += "print(aligndec.build_info()['instruction_set'])"
    environment = os.environ | {"ATEN_CPU_CAPABILITY": capability, "PYTHONPATH": str(ROOT)}
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, env=environment
    )
    torchs, ours = run.stdout.split()
    if torchs != capability.upper():
        pytest.skip(f"this machine lacks {capability}")
    assert ours == wanted


def compiled(path: Path, source: str) -> None:
    command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(path)]
    subprocess.run(command, input=source, text=True, check=True)


def garbage(path: Path) -> None:
    path.unlink()
    path.write_bytes(b"not a library")


def no_module(package: Path) -> None:
    for path in package.glob("_C*.so"):
        path.unlink()


def no_kernels(package: Path) -> None:
    no_module(package)
    (package / kernels.KERNELS.name).unlink()


def broken_module(package: Path) -> None:
    for path in package.glob("_C*.so"):
        garbage(path)


def no_library(package: Path) -> None:
    (package / kernels.KERNELS.name).unlink()


def broken_library(package: Path) -> None:
    garbage(package / kernels.KERNELS.name)


def library_of_another_torch(package: Path) -> None:
    """It asks for a function that the torch found does not have."""
    no_library(package)
    compiled(
        package / kernels.KERNELS.name,
        "extern int torch_of_another_version(void);\n"
        "const void* aligndec_library(void) { return (char*)0 + torch_of_another_version(); }\n"
        "const void* (*kept)(void) = aligndec_library;\n"
        "__attribute__((constructor)) static void start(void) { torch_of_another_version(); }\n",
    )


def library_of_another_build(package: Path) -> None:
    no_library(package)
    compiled(
        package / kernels.KERNELS.name,
        "static const int table[32] = {-1};\n"
        "const void* aligndec_library(void) { return table; }\n",
    )


# Draws twice, then asks for the kernels, then runs the doctor; what it finds goes to stdout.
SCRIPT = """
import os, sys, warnings
import torch
import aligndec as ad
from aligndec.cli import app

logits = torch.linspace(0, 3, 20).expand(2, 20)
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    first, second = (ad.sample(logits, seed=1, positions=0).token.tolist() for _ in range(2))
with ad.use_backend("reference"):
    assert first == second == ad.sample(logits, seed=1, positions=0).token.tolist()
told = [str(w.message) for w in caught if w.category is UserWarning]
assert len(told) == 1, told
print("WARNING", told[0])
print("BACKEND", ad.build_info()["backend"])
os.environ["ALIGNDEC_REQUIRE_NATIVE"] = "1"
try:
    ad.sample(logits, seed=1, positions=0)
except ImportError as error:
    print("ERROR", error)
try:
    with ad.use_backend("native"):
        pass
except ImportError as error:
    print("NATIVE", error)
sys.argv = ["aligndec", "doctor"]
app()
"""

MISSING = r"the compiled kernels are missing \(build them with `pip install [^`]*`\)"
UNFIT = (
    r"the compiled kernels do not load: built with {built} for torch >= 2\.10, found torch {torch} "
    r"and Python {python} \(.*{why}.*\); put it right with `pip install [^`]*`"
)


@needs_tools
@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (no_kernels, None),
        (no_module, "_C"),
        (broken_module, "_C"),
        (no_library, "libaligndec_kernels"),
        (broken_library, "libaligndec_kernels"),
        (library_of_another_torch, "torch_of_another_version"),
        (library_of_another_build, "different builds"),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_kernels_that_do_not_load(
    native: None, damage: Callable[[Path], None], why: str | None, tmp_path: Path
) -> None:
    """One warning and the reference; an error when the kernels are required; never a traceback."""
    copy = tmp_path / "aligndec"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    damage(copy)
    environment = {k: v for k, v in os.environ.items() if k != "ALIGNDEC_REQUIRE_NATIVE"}
    run = subprocess.run(
        [sys.executable, "-S", "-c", SCRIPT],  # no site: an editable install is not found instead
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env=environment | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
    )
    assert run.returncode == 1, run.stderr
    assert "Traceback" not in run.stderr
    built = "another version of torch or Python"
    if damage not in (no_module, broken_module):
        built = f"torch {kernels.extension.torch_version}"
    sentence = MISSING
    if why is not None:
        versions = {"torch": torch.__version__, "python": sys.version.split()[0], "built": built}
        sentence = UNFIT.format(why=why, **{k: re.escape(v) for k, v in versions.items()})
    lines = {line.split(" ", 1)[0]: line.split(" ", 1)[-1] for line in run.stdout.splitlines()}
    end = ": the slow reference backend is used"
    assert re.fullmatch(f"aligndec: {sentence}{end}", lines["WARNING"])
    assert lines["BACKEND"] == "reference"
    assert re.fullmatch(f"ALIGNDEC_REQUIRE_NATIVE=1, but {sentence}", lines["ERROR"])
    assert re.fullmatch(f"use_backend: {sentence}", lines["NATIVE"])
    # A terminal breaks lines where it likes, within a word too when a path is long.
    report = "".join(run.stdout.partition("NATIVE")[2].split())
    assert "self-testnotpassed" in report
    assert re.search("!" + sentence.replace("\\ ", "").replace(" ", ""), report)


WITHOUT = """
import importlib.metadata as metadata, sys
gone = sys.argv[1:]
sys.modules.update(dict.fromkeys(gone))
found = metadata.version
def version(name):
    if name in gone:
        raise metadata.PackageNotFoundError(name)
    return found(name)
metadata.version = version
from aligndec.cli import app
sys.argv = ["aligndec", "doctor"]
app()
"""


@pytest.mark.parametrize(
    ("gone", "status", "said"),
    [
        (("transformers", "accelerate", "gguf"), 0, "transformers, accelerate, gguf missing: pip"),
        (("pyarrow", "matplotlib", "vaderSentiment"), 0, "pyarrow, matplotlib, vaderSentiment mis"),
        (("rich",), 1, "aligndec: the command line needs rich: pip install 'aligndec[cli,hf]'"),
        (("typer",), 1, "aligndec: the command line needs typer: pip install 'aligndec[cli,hf]'"),
    ],
    ids=lambda x: x[0] if isinstance(x, tuple) else "",
)
def test_the_doctor_without_an_extra(
    native: None, gone: tuple[str, ...], status: int, said: str
) -> None:
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT, *gone],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    assert run.returncode == status, run.stderr
    assert "Traceback" not in run.stderr
    assert said in " ".join((run.stdout + run.stderr).split())


@pytest.mark.skipif(not (ROOT / "setup.py").is_file(), reason="needs the source tree")
@pytest.mark.parametrize("gone", ["pybind11", "torch"])
def test_a_build_without_its_requirements_says_so(gone: str) -> None:
    script = "import runpy, sys; sys.modules[sys.argv[1]] = None; sys.argv = ['setup.py', '-h']; "
    script += "runpy.run_path('setup.py', run_name='__main__')"
    command = [sys.executable, "-c", script, gone]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 1
    assert run.stderr.startswith("aligndec: the build needs torch >= 2.10 and pybind11 (")
    assert f"{gone} halted" in run.stderr or f"import of {gone}" in run.stderr
