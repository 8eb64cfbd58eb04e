"""The versions that the tests of transformers run on: what a cell lays over the environment."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CELLS", "Cell"]


@dataclass(frozen=True)
class Cell:
    """Packages laid over the environment of `make setup`, or over a new one of another Python.

    `over` is installed with `pip --target`, in front of the environment's own packages, and what it
    needs too where `whole`; `python` is the interpreter of a cell with an environment of its own.
    It runs the test files that import one of `touching`, and those under `tests`.
    """

    over: tuple[str, ...] = ()
    python: str = ""
    touching: tuple[str, ...] = ("transformers",)
    whole: bool = False
    tests: tuple[str, ...] = ()

    @property
    def large(self) -> bool:
        """Whether it takes gigabytes."""
        return bool(self.python) or self.whole


def _transformers(version: str, hub: str, tokenizers: str) -> Cell:
    web = ("httpx==0.28.1", "httpcore==1.0.9") if hub.startswith("1.") else ()
    pins = f"transformers=={version}", f"huggingface-hub=={hub}", f"tokenizers=={tokenizers}"
    return Cell((*pins, *web))


# The lower bound of every dependency in pyproject.toml, and what only they need.
_LOWEST = (
    *_transformers("4.57.1", "0.36.2", "0.22.2").over,
    *("numpy==2.0.0", "accelerate==1.1.0", "gguf==0.10.0", "typer==0.20.0", "rich==13.7.0"),
    *("pyarrow==17.0.0", "matplotlib==3.9.0", "vaderSentiment==3.3.2", "arviz-base==0.3.0"),
    *("arviz-stats==0.3.0", "pytest==8.0.0", "pluggy==1.4.0", "hypothesis==6.100.0"),
    "attrs==24.1.0",
)

_ALL = ("transformers", "pyarrow", "matplotlib", "arviz_base", "typer", "hypothesis")

# One build of the kernels serves every torch.
_KERNELS = tuple(f"tests/{room}" for room in "ops step imh tilting transfer_q models".split())

CELLS = {
    "lowest": Cell(_LOWEST, touching=_ALL),
    "transformers 5.0.0": _transformers("5.0.0", "1.33.0", "0.22.2"),
    "transformers 5.6.2": _transformers("5.6.2", "1.33.0", "0.22.2"),
    "transformers 5.13.1": _transformers("5.13.1", "1.33.0", "0.22.2"),
    "transformers 5.18.0": _transformers("5.18.0", "2.4.0", "0.23.3"),
    "transformers 5.20.2": _transformers("5.20.2", "2.4.0", "0.23.3"),
    "transformers 5.23.0": _transformers("5.23.0", "2.4.0", "0.23.3"),
    "newest": _transformers("5.24.0", "2.4.0", "0.23.3"),
    "pinned": Cell(),
    "torch 2.10.0": Cell(("torch==2.10.0",), whole=True, tests=_KERNELS),
    "torch 2.14.1": Cell(("torch==2.14.1",), whole=True, tests=_KERNELS),
    "Python 3.10": Cell(python="python3.10"),
    "Python 3.12": Cell(python="python3.12"),
    "Python 3.13": Cell(python="python3.13"),
    "Python 3.14": Cell(python="python3.14"),
}
"""By name; `newest` is the newest transformers that aligndec knows."""
