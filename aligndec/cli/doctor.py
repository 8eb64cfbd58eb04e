"""`aligndec doctor`: what is installed, what is in use, and how to put right what is wrong."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Callable
from typing import Any, Literal

import torch
from rich.table import Table

import aligndec
from aligndec import models
from aligndec.cli.console import console
from aligndec.ops import problem as kernel_problem

__all__ = ["cache_rows", "examine"]

_EXTRAS = {
    "hf": ("transformers", "accelerate", "gguf"),
    "cli": ("typer", "rich", "pyarrow", "matplotlib", "vaderSentiment"),
}
Section = Callable[[list[str]], list[tuple[str, str]]]
_REBUILD = "pip install --no-build-isolation --force-reinstall --no-deps ."


def examine() -> bool:
    """Print the report; True when the compiled kernels work."""
    problems: list[str] = []
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(overflow="fold")
    for section in (_system, _extension, _extras, _model, _cache):
        for name, value in _examined(section, problems):
            table.add_row(name, value)
    kernels_work = _self_test(problems)
    table.add_row("self-test", "kernels equal the reference" if kernels_work else "not passed")
    console.print(table)
    for problem in problems:
        console.print(f"! {problem}", style="yellow", markup=False)
    if not problems:
        console.print("No problems found.", style="green")
    return kernels_work


def _examined(section: Section, problems: list[str]) -> list[tuple[str, str]]:
    """Return the rows of a section; what is broken there does not end the report."""
    try:
        return section(problems)
    except Exception as error:
        name = section.__name__.strip("_")
        problems.append(f"{name} cannot be examined ({type(error).__name__}: {error})")
        return [(name, "cannot be examined")]


def _system(problems: list[str]) -> list[tuple[str, str]]:
    return [
        ("aligndec", f"{aligndec.__version__} in {aligndec.__path__[0]}"),
        ("python", f"{platform.python_version()} in {sys.prefix}"),
        ("platform", platform.platform()),
        ("torch", f"{torch.__version__}, {torch.get_num_threads()} threads"),
        ("cuda", _cuda()),
    ]


def _cuda() -> str:
    if torch.version.cuda is None:
        return "this torch is a CPU build"
    if not torch.cuda.is_available():
        return f"torch was built for CUDA {torch.version.cuda}, no device is visible"
    names = (torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
    return f"{torch.version.cuda}: {', '.join(names)}"


def _extension(problems: list[str]) -> list[tuple[str, str]]:
    info: dict[str, Any] = aligndec.build_info()
    shown = [
        ("torch compiled against" if name == "torch" else name.replace("_", " "), _text(value))
        for name, value in info.items()
        if name != "version" and value is not None
    ]
    if not info["cuda_architectures"] and torch.cuda.is_available():
        problems.append(
            "a GPU is there, but the extension has no CUDA kernels: CUDA tensors go through the "
            f"reference; rebuild with ALIGNDEC_CUDA=1 {_REBUILD}"
        )
    return shown


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def _extras(problems: list[str]) -> list[tuple[str, str]]:
    rows = []
    for extra, packages in _EXTRAS.items():
        versions = {package: _version(package) for package in packages}
        missing = [package for package, version in versions.items() if version is None]
        found = (f"{package} {version or 'missing'}" for package, version in versions.items())
        rows.append((f"extra {extra}", ", ".join(found)))
        if missing:
            problems.append(
                f"{', '.join(missing)} missing: pip install "
                f"--no-build-isolation '.[{extra}]' (or the packages alone)"
            )
    return rows


def _model(problems: list[str]) -> list[tuple[str, str]]:
    if models.default_gguf() is None:
        problems.append(f"the demo's default model is not installed: {models.INSTALL}")
        return [("demo model", "not installed")]
    folder = models.cached_default()
    state = "converted in" if folder.is_dir() else "will be converted to"
    return [("demo model", f"{models.PACKAGE}, {state} {folder}")]


def _cache(problems: list[str]) -> list[tuple[str, str]]:
    return cache_rows()


def cache_rows() -> list[tuple[str, str]]:
    """Return what is in the cache folder, and how to delete it."""
    folder = models.cache_dir()
    size = sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
    if size == 0:
        return [("cache", f"{folder}, empty")]
    return [("cache", f"{folder}, {size / 1e6:.0f} MB; delete it with: rm -r '{folder}'")]


def _self_test(problems: list[str]) -> bool:
    """Draw once from kernels and reference: token, counts and floats must agree."""
    if kernel_problem:
        problems.append(kernel_problem)
        return False
    logits = torch.randn(4, 1031, generator=torch.Generator().manual_seed(0)) * 3
    adaptor = aligndec.Adaptor(temperature=0.8, top_p=0.9, min_p=0.01)

    def draw(backend: Literal["native", "reference"]) -> Any:
        with aligndec.use_backend(backend):
            return aligndec.sample(logits, adaptor, seed=1, positions=0)

    try:
        native, expected = draw("native"), draw("reference")
    except Exception as error:
        problems.append(f"the compiled kernels cannot be used ({error}): {_REBUILD}")
        return False
    exact = all(
        torch.equal(getattr(native, name), getattr(expected, name))
        for name in ("token", "n_kept", "status")
    )
    close = all(
        torch.allclose(getattr(native, name), getattr(expected, name), rtol=0, atol=1e-12)
        for name in ("log_p", "log_q", "log_z", "log_kept", "entropy", "kl")
    )
    if not (exact and close):
        problems.append(
            "the compiled kernels and the reference disagree on this machine: set "
            "ATEN_CPU_CAPABILITY=default as a workaround and report it with this output"
        )
    return exact and close


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
