"""The typer application: options and their texts, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aligndec._version import __version__
from aligndec.cli.console import CliError, console, fail
from aligndec.cli.corpus.app import corpus_app
from aligndec.cli.demo.adaptors import ADAPTORS
from aligndec.cli.frontier.command import frontier
from aligndec.cli.options import Format, Model, PromptsFile
from aligndec.cli.tradeoff.command import tradeoff
from aligndec.cli.transfer_q.command import transfer_q
from aligndec.cli.verify.command import verify

__all__ = ["typer_app"]

typer_app = typer.Typer(
    name="aligndec",
    help="Decoding-time alignment, exact and fast.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        console.print(f"aligndec {__version__}")
        raise typer.Exit


@typer_app.callback()
def main(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Decoding-time alignment, exact and fast."""


@typer_app.command()
def doctor(model: Model = None) -> None:
    """Show versions, the extension, the instruction set and what is wrong, with the fix.

    With --model also whether that model can be decoded with its cache. Exits with status 1 when the
    compiled kernels cannot be used or the model fails.
    """
    from aligndec.cli.doctor import examine
    from aligndec.cli.doctor_model import examine_model

    works = examine()
    if model is not None:
        try:
            works = examine_model(model) and works
        except CliError as error:
            fail("doctor", error)
    raise typer.Exit(0 if works else 1)


@typer_app.command()
def demo(
    model: Model = None,
    prompts: PromptsFile = None,
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder for the records and the plot.")
    ] = Path("demo-output"),
    adaptor: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Run this one only (repeatable): {', '.join(ADAPTORS)}.", show_default=False
        ),
    ] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Length cap of a string.")] = 40,
    draws: Annotated[int, typer.Option(min=1, help="Strings per prompt and adaptor.")] = 6,
    seed: Annotated[int, typer.Option(help="Seed of the run.")] = 0,
    timing_tokens: Annotated[
        int, typer.Option(min=0, help="Tokens per string of a timed run; 0 skips the timing.")
    ] = 12,
    method: Annotated[
        str | None,
        typer.Option(
            help="Draw strings of the globally normalised law too, by this method: imh, "
            "rejection, sir, smc, pimh or suffix.",
            show_default=False,
        ),
    ] = None,
    figures: Format = "png",
) -> None:
    """Draw strings from a model under several adaptors and show their exact bookkeeping."""
    from aligndec.cli.demo.run import run_demo

    try:
        run_demo(
            model=model,
            prompts_file=prompts,
            out=out,
            names=adaptor or list(ADAPTORS),
            max_new_tokens=max_new_tokens,
            draws=draws,
            seed=seed,
            timing_tokens=timing_tokens,
            method=method,
            figures=figures,
        )
    except CliError as error:
        fail("demo", error)


typer_app.command()(tradeoff)
typer_app.command()(transfer_q)
typer_app.command()(verify)
typer_app.add_typer(corpus_app)


typer_app.command()(frontier)
