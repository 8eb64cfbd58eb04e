"""The folder that a command writes to."""

from __future__ import annotations

from pathlib import Path

from aligndec.cli.console import CliError

__all__ = ["prepare_folder"]


def prepare_folder(out: Path) -> None:
    """Make the output folder now: a typo in its name must not cost a whole run."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CliError(
            f"--out must be a folder that can be written, got {out} ({error})"
        ) from error
