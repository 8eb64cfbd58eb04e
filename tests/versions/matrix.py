"""Runs the tests that touch transformers on each cell, prints the matrix, keeps docs/versions.md.

    python tests/versions/matrix.py [--cell NAME]... [--own] [--write]

Without `--cell`: every cell that lies over this environment; `--own` adds those of gigabytes: an
environment of their own (another Python) or another torch. Exit status 1 when a cell fails.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

from cells import CELLS, Cell

ROOT = Path(__file__).parents[2]
HOME = Path(os.environ.get("ALIGNDEC_VERSIONS", ROOT / ".venv" / "versions"))
PAGE = ROOT / "docs" / "versions.md"
PIP = ("-m", "pip", "install", "-q", "--disable-pip-version-check")
PARALLEL = ("-n", "auto", "--maxprocesses", "8", "--dist", "loadfile")
PACKAGES = ("transformers", "torch", "numpy")
ASK = "import sys, importlib.metadata as m; print(sys.version.split()[0], *map(m.version, {!r}))"


@dataclass
class Row:
    """What came of a cell: counts of tests, the reasons of the skips, versions."""

    cell: str
    versions: list[str]
    passed: int
    failed: list[str]
    refused: dict[str, int]
    seconds: float


def touching(libraries: tuple[str, ...]) -> list[str]:
    """Test files that import one of these libraries, or a helper that does."""
    tests = ROOT / "tests"
    files = {p: p.read_text() for p in sorted(tests.rglob("test_*.py"))}
    helpers = {p: p.read_text() for p in (tests / "support").glob("*.py")}
    library = rf"""(import |from |importorskip\(["'])({"|".join(libraries)})\b"""
    names = "|".join(p.stem for p, text in helpers.items() if re.search(library, text))
    wanted = rf"{library}|^from support\.({names or '$'}) import"
    return [str(p.relative_to(ROOT)) for p, t in files.items() if re.search(wanted, t, re.M)]


def prepared(name: str, cell: Cell) -> tuple[str, dict[str, str]]:
    """Install a cell's packages unless they are there; return its interpreter and environment."""
    folder = HOME / name.replace(" ", "-")
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive", "OMP_NUM_THREADS": "1"}
    environment["ALIGNDEC_REQUIRE_NATIVE"] = "1"
    python = str(folder / "bin" / "python") if cell.python else sys.executable
    done, wanted = folder / "cell.txt", f"{cell}\n"
    if not (done.is_file() and done.read_text() == wanted):
        shutil.rmtree(folder, ignore_errors=True)
        if cell.python:
            another_python(cell.python, folder)
        elif cell.over:
            target = ["--target", str(folder), *([] if cell.whole else ["--no-deps"])]
            subprocess.run([python, *PIP, *target, *cell.over], check=True)
        folder.mkdir(parents=True, exist_ok=True)
        done.write_text(wanted)
    if cell.over:
        environment["PYTHONPATH"] = str(folder)
    return python, environment


def another_python(interpreter: str, folder: Path) -> None:
    """Make an environment like that of `make setup`, and the module beside the kernels for it."""
    subprocess.run([interpreter, "-m", "venv", str(folder)], check=True)
    python, ours = str(folder / "bin" / "python"), version("torch")
    if subprocess.run([python, *PIP, f"torch=={ours}"], check=False).returncode:
        subprocess.run([python, *PIP, f"torch=={ours.partition('+')[0]}"], check=True)
    pins = ["-c", str(ROOT / "requirements" / "pinned.txt")]
    subprocess.run([python, *PIP, *pins, "setuptools", "ninja", "pybind11"], check=True)
    extras = [*PIP, *pins, "--no-build-isolation", "-e", f"{ROOT}[test]"]
    subprocess.run([python, *extras], env={**os.environ, "ALIGNDEC_NATIVE": "0"}, check=True)
    build = ["setup.py", "-q", "build_ext", "--inplace"]
    alone = {**os.environ, "ALIGNDEC_NATIVE": "module"}
    subprocess.run([python, *build], cwd=ROOT, env=alone, check=True)


def run(name: str, cell: Cell) -> Row:
    python, environment = prepared(name, cell)
    ask = [python, "-c", ASK.format(PACKAGES)]
    versions = subprocess.run(ask, env=environment, capture_output=True, text=True, check=True)
    report = HOME / f"{name.replace(' ', '-')}.xml"
    report.unlink(missing_ok=True)
    begin = time.monotonic()
    quick = ["-q", "-m", "not slow and not statistical", "-p", "no:cacheprovider", *PARALLEL]
    files = [*touching(cell.touching), *cell.tests]
    subprocess.run(
        [python, "-m", "pytest", *quick, f"--junitxml={report}", *files],
        cwd=ROOT,
        env=environment,
        check=False,
    )
    seconds = time.monotonic() - begin
    return read(name, versions.stdout.split(), report, seconds)


def read(name: str, versions: list[str], report: Path, seconds: float) -> Row:
    """Count what pytest reported; nothing passed is a failure."""
    passed, failed, refused = 0, [], {}
    cases = ElementTree.parse(report).iter("testcase") if report.is_file() else ()
    for case in cases:
        skip = case.find("skipped")
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append(f"{case.get('classname')}::{case.get('name')}")
        elif skip is None:
            passed += 1
        elif "refused by name" in (reason := skip.get("message", "")):
            reason = reason.split(": HFCausalLM")[0]
            refused[reason] = refused.get(reason, 0) + 1
    if not passed:
        failed.append("nothing passed")
    return Row(name, versions, passed, failed, refused, seconds)


HEAD = ("cell", "Python", *PACKAGES, "passed", "refused by name", "failed")


def table(rows: list[Row]) -> str:
    """Return the matrix in Markdown."""
    lines = [HEAD, ("---",) * len(HEAD)]
    for row in rows:
        refused = sum(row.refused.values())
        lines.append((row.cell, *row.versions, *map(str, (row.passed, refused, len(row.failed)))))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def write(rows: list[Row]) -> None:
    """Put the matrix between its marks in the page; rows of cells that did not run stay."""
    text = PAGE.read_text()
    begin, end = "<!-- matrix -->\n", "<!-- end -->"
    head, rest = text.split(begin)
    old, tail = rest.split(end)
    names = {row.cell for row in rows}
    kept = [line for line in old.splitlines()[2:] if line.split(" | ")[0][2:] not in names]
    lines = [*table(rows).splitlines(), *kept]
    order = list(CELLS)
    body = sorted(lines[2:], key=lambda line: order.index(line.split(" | ")[0][2:]))
    PAGE.write_text(head + begin + "\n".join([*lines[:2], *body]) + "\n" + end + tail)


def runs(interpreter: str) -> bool:
    """Whether it is there; a version manager's stand-in for one that is not fails when called."""
    found = shutil.which(interpreter)
    return bool(found) and not subprocess.run([found, "-V"], capture_output=True).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cell", action="append", choices=CELLS)
    parser.add_argument("--own", action="store_true", help="also other Pythons and torches")
    parser.add_argument("--write", action="store_true", help="keep the matrix in docs/versions.md")
    args = parser.parse_args()
    rows = []
    for name in args.cell or CELLS:
        cell = CELLS[name]
        if cell.python and not runs(cell.python):
            print(f"{name}: no {cell.python} here")
        elif args.cell or args.own or not cell.large:
            print(f"{name}: {' '.join(cell.over) or 'the pinned versions'}", flush=True)
            rows.append(run(name, cell))
    print(table(rows))
    for row in rows:
        for one in row.failed:
            print(f"{row.cell}: FAILED {one}")
        for why, count in row.refused.items():
            print(f"{row.cell}: {count} tests: {why}")
    print("seconds:", *(f"{row.cell} {row.seconds:.0f};" for row in rows))
    if args.write:
        write(rows)
    return int(any(row.failed for row in rows))


if __name__ == "__main__":
    sys.exit(main())
