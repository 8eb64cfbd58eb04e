"""The build without a GPU: what is judged, what is reported, what a CPU build must not hold."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

import aligndec as ad
from aligndec.ops import library

ROOT = Path(__file__).parents[2]
CI = ROOT / ".ci"

pytestmark = pytest.mark.skipif(not CI.is_dir(), reason="needs the source tree")

# Kernels as ptxas of CUDA 13.0 reports them: a clean one, one that spills, one whose function does.
REPORT = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z7indexedPfPKi' for 'sm_90'
ptxas info    : Function properties for _Z7indexedPfPKi
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 30 registers, used 1 barriers, 128 bytes smem
ptxas info    : Compile time = 5.886 ms
ptxas info    : Compiling entry function '_Z5heavyPfi' for 'sm_90'
ptxas info    : Function properties for _Z5heavyPfi
    288 bytes stack frame, 540 bytes spill stores, 568 bytes spill loads
ptxas info    : Used 32 registers, used 0 barriers, 288 bytes cumulative stack size
ptxas info    : Compile time = 13.455 ms
ptxas info    : Compiling entry function '_Z6callerPf' for 'sm_80'
ptxas info    : Function properties for _Z6callerPf
    216 bytes stack frame, 8 bytes spill stores, 28 bytes spill loads
ptxas info    : Used 64 registers, used 1 barriers, 216 bytes cumulative stack size
ptxas info    : Compile time = 7.000 ms
ptxas info    : Function properties for _Z6calleePf
    0 bytes stack frame, 62 bytes spill stores, 268 bytes spill loads
"""


@pytest.fixture
def cuda_check(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(CI))
    return __import__("cuda_check")


def test_the_report_is_read(cuda_check: ModuleType) -> None:
    clean, spilling, calling = cuda_check.parse(REPORT, "some.cu")
    assert (clean.name, clean.architecture, clean.registers) == ("indexed", "sm_90", 30)
    assert (clean.shared, clean.stack, clean.spill) == (128, 0, 0)
    assert not clean.complaint
    assert (spilling.name, spilling.registers) == ("heavy", 32)
    assert (spilling.stack, spilling.spill) == (288, 540 + 568)
    assert spilling.complaint == "stack 288 > 0, spill 1108 > 0"
    assert (calling.name, calling.architecture) == ("caller", "sm_80")
    assert (calling.stack, calling.spill) == (216, 8 + 28 + 62 + 268)


def test_a_report_that_says_nothing_of_a_kernel_is_refused(cuda_check: ModuleType) -> None:
    cut = REPORT[: REPORT.index("ptxas info    : Function properties for _Z5heavy")]
    with pytest.raises(ValueError, match=r"no resources of _Z5heavyPfi in the report of some\.cu"):
        cuda_check.parse(cut, "some.cu")


def wrapped(tmp_path: Path, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run cuda_check's nvcc with a stand-in for the compiler."""
    compiler = tmp_path / "bin" / "nvcc"
    compiler.parent.mkdir()
    compiler.write_text(f"#!/bin/sh\n{script}\n")
    compiler.chmod(0o755)
    command = [sys.executable, str(CI / "cuda_check.py"), "nvcc", "-c", "a.cu", "-o"]
    return subprocess.run(
        [*command, str(tmp_path / "a.o")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CUDA_HOME": str(tmp_path), **environment},
    )


def test_a_compile_leaves_its_report(tmp_path: Path) -> None:
    run = wrapped(tmp_path, 'echo "$@"')
    assert run.returncode == 0, run.stderr
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["report"].split() == ["-c", "a.cu", "-o", f"{tmp_path}/a.o", "-Xptxas", "-v"]
    assert min(record["seconds"], record["cpu_seconds"]) >= 0


def test_a_compile_that_fails_is_shown(tmp_path: Path) -> None:
    run = wrapped(tmp_path, "echo 'a.cu(3): error: nothing here' >&2; exit 2")
    assert run.returncode == 2
    assert "nothing here" in run.stderr
    assert not (tmp_path / "a.json").exists()


def test_a_compile_that_takes_too_long_is_stopped_and_named(tmp_path: Path) -> None:
    run = wrapped(tmp_path, "sleep 60", ALIGNDEC_NVCC_SECONDS="1")
    assert run.returncode == 1
    assert run.stderr.strip() == "cuda-check: a.cu did not compile within 1 s"


@pytest.mark.skipif(shutil.which("nm") is None or shutil.which("cc") is None, reason="no compiler")
def test_symbols_that_nobody_defines_are_found(cuda_check: ModuleType, tmp_path: Path) -> None:
    """Versioned symbols (libc) and Python's own do not count."""
    sources = {
        "user": "int given(void), missing(void), puts(const char*), Py_Main(void);\n"
        'int all(void) { return given() + missing() + puts("") + Py_Main(); }\n',
        "giver": "int given(void) { return 1; }\n",
    }
    for name, text in sources.items():
        (tmp_path / f"{name}.c").write_text(text)
        command = ["cc", "-shared", "-fPIC", f"{name}.c", "-o", f"lib{name}.so"]
        subprocess.run(command, cwd=tmp_path, check=True)
    found = cuda_check.undefined(tmp_path / "libuser.so", [tmp_path / "libgiver.so"])
    assert found == ["missing"]


@pytest.mark.skipif(shutil.which("nm") is None, reason="no nm")
def test_a_cpu_build_knows_no_cuda(native: None) -> None:
    if ad.build_info()["cuda_architectures"]:
        pytest.skip("a CUDA build")
    run = subprocess.run(
        ["nm", "-D", str(library.KERNELS)], capture_output=True, text=True, check=True
    )
    names = {line.split()[-1] for line in run.stdout.splitlines()}
    assert "aligndec_library" in names
    # torch's stable headers ask it for the code of every type of device.
    assert {name for name in names if "cuda" in name.lower()} == {"aoti_torch_device_type_cuda"}


def without_cuda(page: str) -> set[str]:
    """The ops that docs/decisions.md says have no CUDA kernel."""
    (entry,) = re.findall(r"^- \*\*Ops without a CUDA kernel\*\*:(.*(?:\n  .*)*)", page, re.M)
    return set(re.findall(r"`(\w+)`:", entry))


def test_every_op_has_a_cuda_kernel_or_a_reason(native: None) -> None:
    """What is registered for every device in one table, and what is written down, are all ops."""
    names = torch._C._dispatch_get_all_op_names()
    every = {n.removeprefix("aligndec::") for n in names if n.startswith("aligndec::")}
    (table,) = (
        found
        for path in (ROOT / "csrc").glob("*.cpp")
        for found in re.findall(r"^void add_ops\(.*?^}", path.read_text(), re.M | re.S)
    )
    everywhere = set(re.findall(r'\.impl\("(\w+)"', table))
    exempt = without_cuda((ROOT / "docs" / "decisions.md").read_text())
    assert "adaptor_step" in everywhere
    assert everywhere | exempt == every
    assert not everywhere & exempt
    keys = ("CPU", "CUDA") if ad.build_info()["cuda_architectures"] else ("CPU",)
    for name in everywhere:
        for key in keys:
            assert torch._C._dispatch_has_kernel_for_dispatch_key(f"aligndec::{name}", key), name


def test_an_op_without_a_reason_is_missed() -> None:
    """Control: the list is read to its end, and names alone count."""
    page = "- **Ops without a CUDA kernel**: `one`: for a reason,\n  `x` so; `b`: too.\n- `no`: no"
    assert without_cuda(page) == {"one", "b"}


@pytest.mark.parametrize(
    ("script", "option", "words"),
    [
        (".ci/gpu_check.py", "--results", "gpu-check: a CUDA build of torch with a visible GPU"),
        ("bench/bench_cuda.py", "--json", "bench_cuda: a GPU and an extension with CUDA kernels"),
    ],
)
def test_without_a_gpu_it_says_what_it_needs(
    script: str, option: str, words: str, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    run = subprocess.run(
        [sys.executable, str(ROOT / script), option, str(results)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "PYTHONPATH": str(ROOT)},
    )
    assert run.returncode == 1
    assert run.stderr.startswith(words)
    assert not results.exists()


def test_a_promised_gpu_is_a_failure_when_it_is_missing() -> None:
    """Control of the CUDA tests: they can fail, here for want of a device."""
    case = "tests/cuda/test_calls.py::test_bad_rows"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", case]
    promised = {"FAIL_WITHOUT_CUDA": "1"}
    for extra, status, word in (({}, 0, "1 skipped"), (promised, 1, "1 error")):
        environment = {k: v for k, v in os.environ.items() if k != "FAIL_WITHOUT_CUDA"} | extra
        environment["CUDA_VISIBLE_DEVICES"] = ""
        run = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        assert run.returncode == status, run.stdout
        assert word in run.stdout
