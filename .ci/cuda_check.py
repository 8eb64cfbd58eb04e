"""Compiles and links the CUDA extension on a machine without a GPU, and judges what ptxas reports.

    python .ci/cuda_check.py fetch --torch 2.11.0 --into .venv/cuda-torch
    python .ci/cuda_check.py build --torch .venv/cuda-torch --architectures "8.0;9.0"

`fetch` takes the headers and the six libraries that the link needs out of a CUDA wheel of torch.
`build` runs setup.py against them: the same sources, flags and build rules as an installation.
nvcc runs through this file too (`nvcc ...`), which keeps the report of ptxas and the compile time
beside each object and stops a compile that takes too long.
"""

import argparse
import json
import os
import re
import resource
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = ("c10", "c10_cuda", "torch", "torch_cpu", "torch_cuda", "torch_python")
SECONDS = int(os.environ.get("ALIGNDEC_NVCC_SECONDS", "420"))
"""One .cu file, all architectures. The whole check has to stay below 8 minutes on two cores."""
MAX_STACK = MAX_SPILL = 0
"""Bytes a thread. Local memory is device memory: one spilled register costs what a logit costs."""


@dataclass(frozen=True)
class Kernel:
    """What ptxas says of one kernel on one architecture."""

    file: str
    name: str
    architecture: str
    registers: int
    shared: int  # bytes a block, static
    stack: int  # bytes a thread, in local memory
    spill: int  # bytes a thread, stored or loaded

    @property
    def complaint(self) -> str:
        """What is out of bounds, or nothing."""
        over = [f"stack {self.stack} > {MAX_STACK}"] * (self.stack > MAX_STACK)
        over += [f"spill {self.spill} > {MAX_SPILL}"] * (self.spill > MAX_SPILL)
        return ", ".join(over)


def parse(report: str, file: str) -> list[Kernel]:
    """Read what `nvcc -Xptxas -v` printed for one file.

    A kernel answers for the functions that it calls: their spills count, and the stack is the whole
    chain of calls where ptxas gives that.
    """
    kernels = []
    parts = re.split(r"Compiling entry function '([^']+)' for '([^']+)'", report)[1:]
    for name, architecture, text in zip(parts[::3], parts[1::3], parts[2::3], strict=True):

        def numbers(pattern: str, text: str = text) -> list[int]:
            return [int(n) for n in re.findall(rf"(\d+) {pattern}", text)]

        registers = re.search(r"Used (\d+) registers", text)
        if registers is None or f"Function properties for {name}\n" not in text:
            raise ValueError(f"cuda-check: no resources of {name} in the report of {file}")
        stack = numbers("bytes cumulative stack size") + numbers("bytes stack frame")
        spill = numbers("bytes spill stores") + numbers("bytes spill loads")
        kernels.append(
            Kernel(
                *(file, demangle(name), architecture, int(registers[1])),
                *(sum(numbers("bytes smem")), max(stack), sum(spill)),
            )
        )
    return kernels


def demangle(name: str) -> str:
    """Return the C++ name without its arguments."""
    run = subprocess.run(["c++filt", name], capture_output=True, text=True, check=True)
    plain = run.stdout.strip().replace("(anonymous namespace)::", "")
    return re.sub(r"^void |\(.*\)$", "", plain)


def limited(command: list[str], seconds: float, **options: Any) -> tuple[int | None, str]:
    """Run a command; return its status, None when its time was up, and all that it printed."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        **options,
    )
    try:
        text, _ = process.communicate(timeout=seconds)
        return process.returncode, text
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # its children too: nvcc runs cicc and ptxas
        return None, process.communicate()[0]


def nvcc(arguments: list[str]) -> int:
    """Compile one file; leave `<object>.json` with the time and the report of ptxas."""
    output = Path(arguments[arguments.index("-o") + 1])
    start = time.monotonic()
    compiler = str(cuda_home() / "bin" / "nvcc")
    status, text = limited([compiler, *arguments, "-Xptxas", "-v"], SECONDS)
    if status is None:
        print(f"cuda-check: {output.stem}.cu did not compile within {SECONDS} s", file=sys.stderr)
        return 1
    if status:
        print(text, file=sys.stderr)
        return status
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    record = {
        "seconds": round(time.monotonic() - start, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "report": text,
    }
    output.with_suffix(".json").write_text(json.dumps(record))
    return 0


def cuda_home() -> Path:
    """Return CUDA_HOME, or the toolkit of the nvcc on PATH (which may be a script elsewhere)."""
    if os.environ.get("CUDA_HOME"):
        return Path(os.environ["CUDA_HOME"])
    try:
        command = ["nvcc", "--dryrun", "-x", "cu", os.devnull]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
    except OSError:
        sys.exit("cuda-check: nvcc 13 must be on PATH, or CUDA_HOME must name the CUDA toolkit")
    top = re.search(r"TOP=(.*)", run.stderr)
    assert top is not None
    return Path(top[1]).resolve()


def fetch(version: str, into: Path) -> None:
    """Unpack what a build needs of the CUDA wheel of torch for this Python."""
    with tempfile.TemporaryDirectory(dir=into.parent) as folder:
        pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", f"torch=={version}"]
        subprocess.run([*pip, "-d", folder], check=True)
        (wheel,) = Path(folder).glob("torch-*.whl")
        wanted = {f"torch/lib/lib{name}.so" for name in LIBRARIES} | {"torch/version.py"}
        with zipfile.ZipFile(wheel) as archive:
            for name in archive.namelist():
                if name in wanted or name.startswith("torch/include/"):
                    archive.extract(name, Path(folder) / "new")
        shutil.rmtree(into, ignore_errors=True)
        (Path(folder) / "new").rename(into)
    found = runpy.run_path(str(into / "torch" / "version.py"))
    if not found["cuda"]:
        sys.exit(f"cuda-check: torch=={version} is {found['__version__']}: no CUDA build")


def build(torch_root: Path, architectures: str, into: Path) -> Path:
    """Run setup.py as if the unpacked torch were the one that is imported; return the library."""
    import torch
    from torch.utils import cpp_extension

    version = runpy.run_path(str(torch_root / "torch" / "version.py"))
    torch.version.cuda = version["cuda"]
    torch.__version__ = torch.torch_version.TorchVersion(version["__version__"])
    cpp_extension._TORCH_PATH = str(torch_root / "torch")
    cpp_extension.TORCH_LIB_PATH = str(torch_root / "torch" / "lib")
    cpp_extension.CUDA_HOME = str(cuda_home())
    os.environ["PYTORCH_NVCC"] = f"{sys.executable} {Path(__file__).resolve()} nvcc"
    os.environ |= {"ALIGNDEC_CUDA": "1", "TORCH_CUDA_ARCH_LIST": architectures}
    os.chdir(ROOT)
    sys.argv = ["setup.py", "-q", "build_ext", "--force"]
    sys.argv += ["--build-temp", str(into / "objects"), "--build-lib", str(into / "lib")]
    runpy.run_path("setup.py", run_name="__main__")
    (library,) = (into / "lib" / "aligndec").glob("libaligndec_kernels.so")
    return library


def undefined(library: Path, providers: Iterable[Path]) -> list[str]:
    """Return the symbols that nobody defines: Python's own are left out, versioned ones bound."""

    def symbols(path: Path, which: str) -> set[str]:
        command = ["nm", "-D", "--format=posix", which, str(path)]
        run = subprocess.run(command, capture_output=True, text=True, check=True)
        fields = (line.split() for line in run.stdout.splitlines())
        return {f[0] for f in fields if f[1] not in "vw" or which == "--defined-only"}

    wanted = {s for s in symbols(library, "--undefined-only") if "@" not in s}
    for path in providers:
        wanted -= symbols(path, "--defined-only")
    return sorted(s for s in wanted if not s.startswith(("Py", "_Py")))


def check(torch_root: Path, architectures: str, into: Path) -> int:
    """Build, judge, print; the exit status."""
    library = build(torch_root, architectures, into)
    kernels, seconds = [], {}
    for source in sorted((ROOT / "csrc" / "cuda").glob("*.cu")):
        path = into / "objects" / "csrc" / "cuda" / f"{source.stem}.json"
        record = json.loads(path.read_text())
        seconds[source.name] = record["cpu_seconds"]
        kernels += parse(record["report"], source.name)
    report = {
        "torch": runpy.run_path(str(torch_root / "torch" / "version.py"))["__version__"],
        "architectures": architectures,
        "bytes": library.stat().st_size,
        "compile_cpu_seconds": seconds,
        "kernels": [asdict(k) for k in kernels],
    }
    (into / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    print("registers  shared  stack  spill  arch   kernel")
    for k in kernels:
        numbers = f"{k.registers:9}  {k.shared:6}  {k.stack:5}  {k.spill:5}"
        print(f"{numbers}  {k.architecture:5}  {k.file}: {k.name}")
    print("CPU time of nvcc:", ", ".join(f"{file} {s:g} s" for file, s in seconds.items()))
    print(f"{library.name}: {library.stat().st_size / 2**20:.2f} MiB for {architectures}")
    lib = torch_root / "torch" / "lib"
    missing = undefined(library, (lib / f"lib{name}.so" for name in LIBRARIES))
    faults = [f"undefined: {demangle(symbol)}" for symbol in missing]
    faults += [f"{k.name} ({k.architecture}): {k.complaint}" for k in kernels if k.complaint]
    faults += ["no kernel in any report of ptxas"] * (not kernels)
    for fault in faults:
        print(f"cuda-check: {fault}", file=sys.stderr)
    return int(bool(faults))


def main() -> int:
    """Run one of the three commands."""
    if sys.argv[1:2] == ["nvcc"]:
        return nvcc(sys.argv[2:])
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    get, make = commands.add_parser("fetch"), commands.add_parser("build")
    get.add_argument("--torch", required=True, help="version of the wheel")
    get.add_argument("--into", required=True, type=Path, help="folder, replaced")
    make.add_argument("--torch", required=True, type=Path, help="what fetch has written")
    make.add_argument("--architectures", default="8.0;9.0", help="as in TORCH_CUDA_ARCH_LIST")
    make.add_argument("--into", default=ROOT / "build" / "cuda", type=Path, help="build folder")
    options = parser.parse_args()
    if options.command == "fetch":
        fetch(options.torch, options.into.resolve())
        return 0
    return check(options.torch.resolve(), options.architectures, options.into.resolve())


if __name__ == "__main__":
    sys.exit(main())
