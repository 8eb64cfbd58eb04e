"""Everything that needs a GPU in one unattended run: build, tests, sanitizers, benchmarks.

    python .ci/gpu_check.py --results bench/results

The Python that runs it is used as it is; nothing is installed or fetched. A step that fails does
not stop the later ones (but the build does: without it they say nothing). Nothing waits for the
end to be written: `gpu-check.json` is written anew after every step, the output of a step goes to
`gpu-check-<step>.log` line by line, a benchmark to its file row by row. A run that was cut short
goes on when it is started again on the same commit and GPU. `--dry-run` takes every turn of this
on a machine without a GPU: tests are collected, benchmarks run small on the CPU.
"""

import argparse
import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from cuda_check import ROOT, cuda_home

BUDGET = 540
"""Seconds for everything: a lent machine is often lent for ten minutes."""
LEAST = 90
"""Seconds that are left for the benchmarks when every step before takes all of its own."""
TAIL = 4000
DONE, ABSENT = "done before", "absent"


@dataclass
class Step:
    """One command, the seconds that it may take (0: all that are left), and what came of it.

    `{seconds}` in the command is what it may take.
    """

    name: str
    command: list[str]
    limit: int = 0
    extra: dict[str, str] = field(default_factory=dict)  # to the environment
    seconds: float = 0.0
    status: int | str = "not run"
    tail: str = ""

    @property
    def ok(self) -> bool:
        """Whether it passed, now or before, or its tool is not there."""
        return self.status in (0, DONE, ABSENT)

    def run(self, environment: dict[str, str], left: float, log: Path) -> None:
        """Run it, its output to `log`; show the end of that."""
        limit = max(1.0, min(self.limit or left, left))
        command = [word.replace("{seconds}", f"{limit:.0f}") for word in self.command]
        print(f"--- {self.name}: {' '.join(command)}", flush=True)
        start = time.monotonic()
        if shutil.which(command[0]) is None:
            self.status, self.tail = ABSENT, f"{command[0]} is not there"
        else:
            self.status = logged(command, limit, log, environment | self.extra)
            self.tail = log.read_text(errors="replace")[-TAIL:]
        self.seconds = round(time.monotonic() - start, 1)
        print(f"{self.tail}\n--- {self.name}: {self.status} after {self.seconds:g} s", flush=True)


def logged(command: list[str], limit: float, log: Path, environment: dict[str, str]) -> int | str:
    """Run a command with its output in a file; its status, also when its time was up."""
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # its children too
            process.wait()
            return "out of time"


def search_path() -> str:
    """Return PATH, and the tools of the CUDA toolkit after it."""
    home = os.environ.get("CUDA_HOME") or "/usr/local/cuda"
    return os.pathsep.join([os.environ.get("PATH", ""), f"{home}/bin"])


def steps(results: Path, dry: bool = False) -> list[Step]:
    """Return the run in the order of worth: whether it works, how fast it is, then everything."""
    python = sys.executable
    collect = ["--collect-only"] if dry else []
    tests = [python, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-m", "cuda", *collect]
    # Not the whole folder: other files need packages that a borrowed machine may lack.
    marked = [p for p in sorted(ROOT.glob("tests/**/test_*.py")) if _needs_gpu(p.read_text())]
    (calls,) = (str(p) for p in marked if p.name == "test_calls.py")
    sanitizer = shutil.which("compute-sanitizer", path=search_path())
    # Only our kernels are instrumented: torch's own would take the whole time.
    watch = [sanitizer or "compute-sanitizer"]
    watch += ["--kernel-name", "kernel_substring=aligndec", "--report-api-errors", "no"]
    watch += ["--error-exitcode", "9"]
    tools = {tool: [] if dry else [*watch, "--tool", tool] for tool in ("memcheck", "racecheck")}
    # Every tensor an allocation of its own: reading past one is then seen.
    own = {"PYTORCH_NO_CUDA_MEMORY_CACHING": "1"}
    bench = [python, "bench/bench_cuda.py", "--json", str(results / "adaptor_step-cuda.json")]
    bench += ["--resume", "--seconds", "{seconds}"] + ["--dry-run", "--repeats", "2"] * dry
    build = [python, "setup.py", "-q", "build_ext", "--inplace"]
    if dry:
        build = [python, "-c", "import aligndec; print(aligndec.build_info())"]
    small = ["-k", "test_every_call and 1025"]
    return [
        Step("build", build, 210),
        Step("smoke", [*tests, calls, *small], 40),
        Step("row", [*bench, "--first", "1"], 50),
        Step("tests", [*tests, *map(str, marked)], 90, {"ALIGNDEC_HUGE": "1"}),
        Step("memcheck", [*tools["memcheck"], *tests, calls, *small], 30, own),
        Step("racecheck", [*tools["racecheck"], *tests, calls, *small], 30, own),
        Step("benchmarks", bench),
    ]


def _needs_gpu(test_file: str) -> bool:
    return "pytest.mark.cuda" in test_file or "native_device" in test_file


def say(*command: str) -> str:
    """Return what a command prints; nothing without the command."""
    if shutil.which(command[0]) is None:
        return ""
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return run.stdout.strip()


def describe(dry: bool) -> dict[str, Any]:
    """GPU, versions, commit."""
    import torch

    record: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": say("git", "rev-parse", "HEAD"),
        "changed": bool(say("git", "status", "--porcelain", "--untracked-files=no")),
        "dry_run": dry,
        "python": sys.version.split()[0],
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
    }
    if dry:
        return record | {"gpu": "none", "capability": "9.0"}
    properties = torch.cuda.get_device_properties(0)
    return record | {
        "gpu": properties.name,
        "driver": say("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"),
        "capability": f"{properties.major}.{properties.minor}",
    }


def passed_before(path: Path, record: dict[str, Any]) -> Iterator[str]:
    """Yield the steps that passed in the run that left `path`, on this commit and GPU."""
    if not path.is_file() or record["changed"]:
        return
    old = json.loads(path.read_text())
    if all(old.get(k) == record[k] for k in ("commit", "changed", "gpu", "torch", "dry_run")):
        yield from (step["name"] for step in old["steps"] if step["status"] in (0, DONE))


def check(results: Path, budget: float, dry: bool) -> int:
    """Run all steps that have not passed before; 0 when every one has."""
    end, path = time.monotonic() + budget, results / "gpu-check.json"
    results.mkdir(parents=True, exist_ok=True)
    record, run = describe(dry), steps(results, dry)
    # What is built is looked at each time, which takes a second: the machine may be another one.
    before = set(passed_before(path, record)) - {"build"}
    if not before:
        (results / "adaptor_step-cuda.json").unlink(missing_ok=True)  # rows of another run
    environment = {
        **os.environ,
        "ALIGNDEC_CUDA": "1",
        "ALIGNDEC_REQUIRE_NATIVE": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]).strip(":"),
        "TORCH_CUDA_ARCH_LIST": str(record["capability"]),
    }
    if not dry:
        environment |= {"CUDA_HOME": str(cuda_home()), "FAIL_WITHOUT_CUDA": "1"}
    for step in run:
        if step.name in before:
            step.status = DONE
        else:
            step.run(environment, end - time.monotonic(), results / f"gpu-check-{step.name}.log")
        record["steps"] = [asdict(s) for s in run]
        path.write_text(json.dumps(record, indent=1) + "\n")
        if step.name == "build" and not step.ok:
            break
    for step in run:
        print(f"gpu-check: {step.name}: {step.status}, {step.seconds:g} s")
    return int(not all(step.ok for step in run))


def main() -> int:
    """Run the check, or what can be run of it without a GPU."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--results", type=Path, help="folder; default bench/results")
    parser.add_argument("--seconds", type=int, default=BUDGET, help="for everything together")
    parser.add_argument("--dry-run", action="store_true", help="without a GPU: every turn of it")
    options = parser.parse_args()
    import torch

    if not options.dry_run and not torch.cuda.is_available():
        found = f"torch {torch.__version__} of {sys.executable}"
        sys.exit(f"gpu-check: a CUDA build of torch with a visible GPU must be there, got {found}")
    usual = ROOT / "build" / "gpu-check" if options.dry_run else ROOT / "bench" / "results"
    return check((options.results or usual).resolve(), options.seconds, options.dry_run)


if __name__ == "__main__":
    sys.exit(main())
