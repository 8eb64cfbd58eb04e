"""Writes requirements/pinned.txt: every package of the extras, direct or not, at today's version.

A constraints file (`pip install -c`), so it installs nothing by itself. Where an older Python gets
an older version, both stand there with a marker. torch is the Makefile's choice, since a GPU's
torch must stay as it is.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import tomllib

PYTHONS = ("3.10", "3.11")
"""The oldest, and the oldest of those that get the newest versions of everything."""

OURS = ("torch", "triton", "nvidia-", "cuda-", "aligndec")


def requirements(extra: str, project: dict) -> list[str]:
    """Return the requirement lines of an extra, those of the extras in it included."""
    lines: list[str] = []
    for line in project["optional-dependencies"][extra]:
        inner = line.removeprefix("aligndec[").removesuffix("]").split(",")
        nested = line.startswith("aligndec[")
        lines += [x for name in inner for x in requirements(name, project)] if nested else [line]
    return sorted(set(lines))


def project_requirements(*extras: str) -> list[str]:
    """Return the requirement lines of this project's extras, without torch."""
    text = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    project = tomllib.loads(text)["project"]
    return sorted({line for extra in extras for line in requirements(extra, project)})


def resolved(python: str, lines: list[str]) -> dict[str, str]:
    """Version by name, as pip would install them under that Python."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        pip = [sys.executable, "-m", "pip", "install", "-q", "--dry-run", "--ignore-installed"]
        under = ["--python-version", python, "--only-binary=:all:", "--target", folder]
        subprocess.run([*pip, *under, "--report", str(report), *lines], check=True)
        found = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    names = {one["name"].lower().replace("_", "-"): one["version"] for one in found}
    return {name: v for name, v in sorted(names.items()) if not name.startswith(OURS)}


def main() -> None:
    """Resolve for both Pythons and write the file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--torch", required=True)
    parser.add_argument("--out", type=Path, default=Path("requirements/pinned.txt"))
    args = parser.parse_args()
    lines = project_requirements("test", "bench")
    # setuptools and ninja build, pybind11 gives the headers.
    lines += ["setuptools", "ninja", "pybind11", "numpy", f"torch=={args.torch}"]
    old, new = (resolved(python, lines) for python in PYTHONS)
    out = ["# Made by `make pin`: what `make demo`, `make test` and `make study` install."]
    for name in sorted(old | new):
        if old.get(name) == new.get(name):
            out.append(f"{name}=={new[name]}")
            continue
        for versions, sign in ((old, "<"), (new, ">=")):
            if name in versions:
                out.append(f'{name}=={versions[name]} ; python_version {sign} "{PYTHONS[1]}"')
    args.out.write_text("\n".join(out) + "\n")


if __name__ == "__main__":
    main()
