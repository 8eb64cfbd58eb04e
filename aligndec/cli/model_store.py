"""The models of the command line; what is wrong with them is said in the words of its options."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch

from aligndec.cli.console import CliError
from aligndec.models import PACKAGE, cached_default, load_as, prepack

__all__ = ["PACKAGE", "LoadedModel", "load"]


@dataclass(frozen=True)
class LoadedModel:
    """A transformers model with its tokenizer and where they came from."""

    model: Any
    tokenizer: Any
    source: str

    def prepacked(self) -> LoadedModel:
        """Return it ready for many steps: weights in blocks, where torch has oneDNN."""
        if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            return self
        return replace(self, model=prepack(self.model))


def load(model: str | None) -> LoadedModel:
    """Load a model in float32 from a folder, a .gguf file or a Hugging Face id.

    Parameters
    ----------
    model : str, optional
        None: the embedded one, from the cache when it has been converted before.

    Raises
    ------
    CliError
        With what to do: something is not installed, or the model cannot be read.
    """
    with _said():
        loaded = load_as("--model", model or "demo", dtype=torch.float32)
    return LoadedModel(*loaded, source=model or str(cached_default()))


@contextmanager
def _said() -> Iterator[None]:
    """Turn what loading raises into what a command says."""
    try:
        yield
    except (ImportError, OSError, ValueError) as error:
        raise CliError(str(error)) from error
