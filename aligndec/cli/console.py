"""The two consoles, and how a command ends when the user has to do something."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

__all__ = ["CliError", "console", "fail", "one_of", "progress_bars"]

# A pipe has no width of its own.
_PIPE_WIDTH = 100

# Names of files, methods and labels are data: their square brackets are no markup.
console = Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False, markup=False)
_errors = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)


class CliError(Exception):
    """Something that the user can put right; the message says how."""


def fail(command: str, error: CliError) -> NoReturn:
    """Print the message and leave with status 2, the status of a wrong option."""
    _errors.print(f"aligndec {command}: {error}", style="red", markup=False)
    raise typer.Exit(2)


def one_of(option: str, names: Collection[str], allowed: Collection[str]) -> None:
    """Refuse a name that the option does not know."""
    for name in names:
        if name not in allowed:
            raise CliError(f"{option} must be one of {', '.join(allowed)}, got {name!r}")


def progress_bars() -> Progress:
    """Bars that go away when the work is done."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )
