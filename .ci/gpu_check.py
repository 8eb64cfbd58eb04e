"""Everything that needs a GPU in one unattended run: build, tests, sanitizers, benchmarks.

    python .ci/gpu_check.py --results bench/results

The Python that runs it is used as it is; nothing is installed or fetched. A step that fails does
not stop the later ones (but the build does: without it they say nothing). `gpu-check.json` in the
folder of results is written anew after every step, so an interrupted run leaves what it knows.
"""

import argparse
import datetime
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from cuda_check import ROOT, cuda_home, limited

BUDGET = 570
"""Seconds for everything: a lent machine is often lent for ten minutes."""
TAIL = 4000


@dataclass
class Step:
    """One command, the seconds that it may take, and what came of it."""

    name: str
    command: list[str]
    limit: int
    extra: dict[str, str] = field(default_factory=dict)  # to the environment
    seconds: float = 0.0
    status: int | str = "not run"
    tail: str = ""

    def run(self, environment: dict[str, str], limit: float) -> None:
        """Run it; show the output and keep its end."""
        print(f"--- {self.name}: {' '.join(self.command)}", flush=True)
        start = time.monotonic()
        status, text = limited(
            self.command, max(1.0, limit), cwd=ROOT, env=environment | self.extra
        )
        self.status = "out of time" if status is None else status
        self.seconds, self.tail = round(time.monotonic() - start, 1), text[-TAIL:]
        print(f"{self.tail}\n--- {self.name}: {self.status} after {self.seconds:g} s", flush=True)


def steps(results: Path) -> list[Step]:
    """Return the run, in the order in which a failure is best noticed."""
    python = sys.executable
    tests = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "cuda"]
    # Not the whole folder: other files need packages that a borrowed machine may lack.
    marked = [p for p in sorted(ROOT.glob("tests/**/test_*.py")) if _needs_gpu(p.read_text())]
    sanitizer = shutil.which("compute-sanitizer") or str(cuda_home() / "bin" / "compute-sanitizer")
    small = [*tests, "tests/cuda/test_calls.py", "-k", "test_every_call"]
    # Only our kernels are instrumented: torch's own would take the whole time.
    watch = [sanitizer, "--kernel-name", "kernel_substring=aligndec", "--report-api-errors", "no"]
    watch += ["--error-exitcode", "9"]
    # Every tensor an allocation of its own: reading past one is then seen.
    own = {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    bench = [python, "bench/bench_cuda.py", "--json", str(results / "adaptor_step-cuda.json")]
    return [
        Step("build", [python, "setup.py", "-q", "build_ext", "--inplace", "--force"], 240),
        Step("tests", [*tests, *map(str, marked)], 200, {"ALIGNDEC_HUGE": "1"}),
        Step("memcheck", [*watch, "--tool", "memcheck", *small], 90, own),
        Step("racecheck", [*watch, "--tool", "racecheck", *small], 90, own),
        Step("benchmarks", bench, 200),
    ]


def _needs_gpu(test_file: str) -> bool:
    return "pytest.mark.cuda" in test_file or "native_device" in test_file


def describe() -> dict[str, object]:
    """GPU, versions, commit."""
    import torch

    properties = torch.cuda.get_device_properties(0)

    def say(*command: str) -> str:
        if shutil.which(command[0]) is None:
            return ""
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        return run.stdout.strip()

    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": say("git", "rev-parse", "HEAD"),
        "gpu": properties.name,
        "driver": say("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
        "capability": f"{properties.major}.{properties.minor}",
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }


def main() -> int:
    """Run all steps; 0 when every one passed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results")
    parser.add_argument("--seconds", type=int, default=BUDGET, help="for everything together")
    options = parser.parse_args()
    import torch

    if not torch.cuda.is_available():
        found = f"torch {torch.__version__} of {sys.executable}"
        sys.exit(f"gpu-check: a CUDA build of torch with a visible GPU must be there, got {found}")
    end, results = time.monotonic() + options.seconds, options.results.resolve()
    results.mkdir(parents=True, exist_ok=True)
    record = describe()
    environment = {
        **os.environ,
        "ALIGNDEC_CUDA": "1",
        "ALIGNDEC_REQUIRE_NATIVE": "1",
        "CUDA_HOME": str(cuda_home()),
        "FAIL_WITHOUT_CUDA": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).strip(":"),
        "TORCH_CUDA_ARCH_LIST": str(record["capability"]),
    }
    run = steps(results)
    for step in run:
        step.run(environment, min(step.limit, end - time.monotonic()))
        record["steps"] = [asdict(s) for s in run]
        (results / "gpu-check.json").write_text(json.dumps(record, indent=1) + "\n")
        if step.name == "build" and step.status != 0:
            break
    for step in run:
        print(f"gpu-check: {step.name}: {step.status}, {step.seconds:g} s")
    return int(any(step.status != 0 for step in run))


if __name__ == "__main__":
    sys.exit(main())
