"""The options of `aligndec frontier`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aligndec.cli.console import CliError, fail
from aligndec.cli.options import Format

__all__ = ["frontier"]


def frontier(
    records: Annotated[
        list[Path],
        typer.Argument(
            exists=True,
            readable=True,
            help="Runs of `aligndec corpus`, or Parquet files with a row per string: prompt, kl, "
            "reward (or text, then VADER's sentiment is the reward), and adaptor, method or "
            "scheme; samples.parquet of `aligndec demo` is one.",
        ),
    ],
    base: Annotated[
        str | None,
        typer.Option(
            help="Method that is the model itself; default the one whose KL is 0.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder for the tables and the plot.")
    ] = Path("frontier-output"),
    figures: Format = "png",
) -> None:
    """Show how far runs are from the reward–KL optimum, next to best-of-n of the same strings.

    The optimum is that of the pool of strings that the model itself drew, one KL price for all
    prompts.
    """
    from aligndec.cli.frontier.run import run_frontier

    try:
        run_frontier(records, base=base, out=out, figures=figures)
    except CliError as error:
        fail("frontier", error)
