"""Models by name: loading them, and digests of what is loaded."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from aligndec.models import cached_default, default_gguf, load, prepack
from aligndec.rewards import imported
from aligndec.shared import file_digest, tensor_digest
from aligndec.testing import toy_model

__all__ = ["load_source", "resolved", "source_digest", "weight_files"]

TOY = "toy"
_WEIGHTS = (".safetensors", ".bin", ".gguf", ".json", ".model", ".txt", ".jinja", ".py")


def resolved(name: str) -> str:
    """Return the name with a path made absolute, so that it holds in every working folder."""
    path = Path(name).expanduser()
    return str(path.absolute()) if path.exists() else name


def _is_function(name: str) -> bool:
    return ":" in name and not Path(name).exists()


def load_source(name: str) -> tuple[Any, Any]:
    """Load a model and its tokenizer, ready for many steps."""
    if name == TOY:
        return toy_model()
    if _is_function(name):
        model, tokenizer = imported("corpus: model", name)()
        return model, tokenizer
    options = {} if torch.cuda.is_available() else {"dtype": torch.float32}
    model, tokenizer = load(name, **options)
    if torch.cuda.is_available():
        return model.to("cuda"), tokenizer
    if torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        model = prepack(model)
    return model, tokenizer


def weight_files(name: str) -> list[Path]:
    """Files that a named model is read from, in the order of their names."""
    if name == "demo":
        if default_gguf() is None or not cached_default().is_dir():
            load()  # unpacks it, or says what is missing
        folder = cached_default()
    else:
        folder = Path(name)
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        folder = Path(_fetched(name))
    return sorted(p for p in folder.iterdir() if p.suffix in _WEIGHTS and p.is_file())


def source_digest(name: str) -> str:
    """Digest of a model: of its files, or of the tensors that a function made.

    Tensors of a function's model are those of its `state_dict`, its own or its `model`'s, or its
    `table`; a model without any of them is known by the function's name alone.
    """
    if name != TOY and not _is_function(name):
        return file_digest(weight_files(name))
    model = load_source(name)[0]
    inner = next((m for m in (model, getattr(model, "model", None)) if _has_weights(m)), None)
    if inner is not None:
        return tensor_digest(inner.state_dict())
    table = getattr(model, "table", None)
    return tensor_digest({"table": table}) if table is not None else name


def _has_weights(model: Any) -> bool:
    return hasattr(model, "state_dict")


def _fetched(name: str) -> str:
    from huggingface_hub import snapshot_download

    offline = bool(os.environ.get("HF_HUB_OFFLINE"))
    try:
        folder: str = snapshot_download(name, local_files_only=offline)
    except Exception as error:  # the library raises many kinds
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            "corpus: model must be toy, demo, a folder, a .gguf file, package.module:function or "
            f"the id of a model that can be fetched, got {name!r} ({lines[0][:200]})"
        ) from error
    return folder
