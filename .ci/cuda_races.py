"""Races of the CUDA kernels, looked for without a GPU; and whether each barrier would be missed.

    python .ci/cuda_races.py [--quick]

The kernels run on the host (tests/cpp/host_device), their threads as fibers that ThreadSanitizer
tells apart and that barriers alone order. First every op runs as it is: no race, no barrier that
some threads do not reach, the same outputs in every order of the threads. Then each barrier is
deleted in turn: a deletion that nothing notices is a barrier that nothing needs, or a case that the
programs of tests/cpp/races lack. `--quick`: fewer machines and sizes, one barrier of each file.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CSRC = ROOT / "csrc"
CUDA = CSRC / "cuda"
PROGRAMS = ROOT / "tests" / "cpp" / "races"
BARRIER = re.compile(
    r"(?<!void )(?<![\w.:])(?:block::|\w+\.)?(?:sync|arrive|wait|fence)(?:_\w+)?\s*\([^()]*\)"
)
FOLDERS = ("core", "launch", "cuda")
"""Of csrc: where the code of the kernels stands."""
PRIMITIVES = "block.cuh"
"""Defines the barriers; the host has its own."""
SECONDS = 900
"""One program on all machines. It is stopped then, and that is a failure."""
WRONG = "outputs differ with the order of threads"


@dataclass(frozen=True)
class Site:
    """A barrier in the text of the kernels."""

    path: Path
    begin: int
    end: int

    @property
    def text(self) -> str:
        """The call."""
        return self.path.read_text()[self.begin : self.end]

    def deleted(self) -> str:
        """Return the file without the barrier."""
        text = self.path.read_text()
        return f"{text[: self.begin]}(void)0{text[self.end :]}"

    def __str__(self) -> str:
        line = self.path.read_text().count("\n", 0, self.begin) + 1
        return f"{self.path.name}:{line} {self.text}"


@dataclass
class Outcome:
    """What one program said: the races, another failure, a line for each case."""

    races: list[tuple[str, str]] = field(default_factory=list)  # kind, place
    failure: str = ""
    hashes: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def complaint(self) -> str:
        """Everything that is wrong, or nothing."""
        found = sorted({" at ".join(race) for race in self.races})
        found += [self.failure] * bool(self.failure)
        found += [WRONG] * any(len(set(seen)) > 1 for seen in self.hashes.values())
        return "; ".join(found)


def barriers(paths: Iterable[Path]) -> list[Site]:
    """Return the barriers in the code of these files, comments left out."""
    sites = []
    for path in paths:
        text = path.read_text()
        code = re.sub(r"//[^\n]*", lambda comment: " " * len(comment[0]), text)
        sites += [Site(path, m.start(), m.end()) for m in BARRIER.finditer(code)]
    return sites


def kernel_files() -> list[Path]:
    """Return the files whose barriers are deleted."""
    paths = (p for folder in FOLDERS for p in sorted((CSRC / folder).rglob("*.*")))
    return [p for p in paths if p.name != PRIMITIVES]


def included(path: Path) -> set[Path]:
    """Return the files of kernels that `path` includes, itself among them."""
    paths, left = set(), [path]
    while left:
        path = left.pop()
        if path not in paths and path.is_file():
            paths.add(path)
            names = re.findall(r'#include "(\w+/[^"]+)"', path.read_text())
            left += [CSRC / name for name in names if name.split("/")[0] in FOLDERS]
    return paths


def compile_program(source: Path, into: Path, *overlay: Path) -> Path:
    """Compile one program for ThreadSanitizer; headers in `overlay` go first."""
    from torch.utils.cpp_extension import include_paths

    folders = [*overlay, ROOT / "tests" / "cpp" / "host_device", CSRC, source.parent]
    program = into / source.stem
    command = [*shlex.split(os.environ.get("CXX") or "g++"), "-std=c++20", "-O1", "-g1", "-w"]
    command += ["-ffp-contract=off", "-fsanitize=thread", *(f"-I{f}" for f in folders)]
    command += [*(f"-isystem{f}" for f in include_paths()), str(source), "-o", str(program)]
    into.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"cuda-races: {source.name} does not compile\n{done.stderr[-3000:]}")
    return program


def fixed_addresses() -> list[str]:
    """Return what starts a program without random addresses, which old sanitizers cannot map."""
    command = ["setarch", "-R"]
    try:
        done = subprocess.run([*command, "true"], capture_output=True, check=False)
    except OSError:
        return []
    return command if done.returncode == 0 else []


def run_program(program: Path, *words: str, until_first: bool = False) -> Outcome:
    """Run one program; `until_first`: only until it is known to fail."""
    options = f"exitcode=66 history_size=1 halt_on_error={int(until_first)}"
    start, out = time.monotonic(), Outcome()
    try:
        done = subprocess.run(
            [*fixed_addresses(), str(program), *words],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
            env={**os.environ, "TSAN_OPTIONS": options},
        )
    except subprocess.TimeoutExpired:
        out.failure = f"not done within {SECONDS} s"
        return out
    out.seconds = time.monotonic() - start
    summary = r"^SUMMARY: ThreadSanitizer: ([\w -]+) .*?([\w.]+:\d+)"
    out.races = re.findall(summary, done.stderr, re.M)
    failed = re.search(r"^failed: (.*)", done.stderr, re.M)
    if failed or (done.returncode and not out.races):
        out.failure = failed[1] if failed else f"status {done.returncode}: {done.stderr[-300:]}"
    for line in done.stdout.splitlines():
        machine, case, value = line.split(" | ")
        out.hashes.setdefault((machine, case), []).append(value)
    return out


def programs() -> list[Path]:
    """Return one program for each file of kernels; the rest of the folder is headers."""
    sources = [PROGRAMS / f"{path.stem}.cpp" for path in sorted(CUDA.glob("*.cu"))]
    missing = [s.name for s in sources if not s.is_file()]
    if missing:
        raise RuntimeError(f"cuda-races: tests/cpp/races must have {', '.join(missing)}")
    return sources


def noticed(site: Site, sources: Sequence[Path], into: Path, words: Sequence[str]) -> str:
    """Delete one barrier; return which program notices and by what, or nothing."""
    folder = into / f"{site.path.stem}-{site.begin}"
    changed = folder / site.path.relative_to(CSRC)
    changed.parent.mkdir(parents=True, exist_ok=True)
    changed.write_text(site.deleted())
    for source in sources:
        program = compile_program(source, folder, folder)
        complaint = run_program(program, *words, until_first=True).complaint
        program.unlink()
        if complaint:
            return f"{source.stem}: {complaint}"
    return ""


def who_has(site: Site, sources: Sequence[Path]) -> list[Path]:
    """Return the programs that contain this barrier, its own file's first."""
    having = [s for s in sources if site.path in included(CUDA / f"{s.stem}.cu")]
    return sorted(having, key=lambda s: s.stem != site.path.stem)


def one_of_each(sites: Sequence[Site]) -> list[Site]:
    """Return the first barrier of each file."""
    return list({site.path: site for site in reversed(sites)}.values())[::-1]


def complaints(into: Path, quick: bool, jobs: int) -> Iterator[str]:
    """Yield everything that is wrong, and print what is found on the way."""
    words, sources = ["quick"] * quick, programs()
    with ThreadPoolExecutor(jobs) as pool:

        def as_it_is(source: Path) -> Outcome:
            return run_program(compile_program(source, into / "as_it_is"), *words)

        print(f"{len(sources)} programs, as they are", flush=True)
        outcomes = dict(zip(sources, pool.map(as_it_is, sources), strict=True))
        for source, out in outcomes.items():
            verdict = out.complaint or f"{len(out.hashes)} cases"
            print(f"  {source.stem}: {verdict}, {out.seconds:.1f} s", flush=True)
            if out.complaint or not out.hashes:
                yield f"{source.stem}: {out.complaint or 'no case ran'}"
        if any(out.complaint for out in outcomes.values()):
            return  # a fault that is there already would pass for one that a deletion made
        # What runs shortest comes first: most deletions are noticed by any program that has them.
        sources.sort(key=lambda source: outcomes[source].seconds)
        sites = barriers(kernel_files())
        chosen = one_of_each(sites) if quick else sites
        print(f"{len(chosen)} of {len(sites)} barriers, each deleted", flush=True)

        def without(site: Site) -> str:
            return noticed(site, who_has(site, sources), into / "deleted", words)

        for site, by in zip(chosen, pool.map(without, chosen), strict=True):
            print(f"  {site}: {by or 'NOT NOTICED'}", flush=True)
            if not by:
                yield f"{site} can be deleted, and nothing notices"


def main() -> int:
    """Look for races, then delete barriers; 0 when there is nothing to complain of."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer machines, sizes and barriers")
    parser.add_argument("--into", type=Path, default=ROOT / "build" / "races", help="build folder")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="programs at a time")
    options = parser.parse_args()
    start = time.monotonic()
    found = list(complaints(options.into.resolve(), options.quick, options.jobs))
    for fault in found:
        print(f"cuda-races: {fault}", file=sys.stderr)
    print(f"cuda-races: {len(found)} faults, {time.monotonic() - start:.0f} s")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
