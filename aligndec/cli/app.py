"""The typer application: options and their texts, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aligndec._version import __version__
from aligndec.cli.console import CliError, console, fail
from aligndec.cli.corpus.app import corpus_app
from aligndec.cli.demo.adaptors import ADAPTORS
from aligndec.cli.options import Model, PromptsFile
from aligndec.cli.tradeoff.schemes import ALL_FAMILIES, FAMILIES, FULL, QUICK, TEMPERATURES
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
        )
    except CliError as error:
        fail("demo", error)


@typer_app.command()
def tradeoff(
    model: Model = None,
    prompts: PromptsFile = None,
    reward: Annotated[
        str, typer.Option(help="`vader`, or folder or Hugging Face id of a sequence classifier.")
    ] = "vader",
    beta: Annotated[
        float, typer.Option(help="β of the aligned law p·exp(r/β): smaller aligns more strongly.")
    ] = 0.5,
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder of the run; an old one is continued.")
    ] = Path("tradeoff-output"),
    adaptor: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Only this family (repeatable; else the first 5): {', '.join(ALL_FAMILIES)}.",
            show_default=False,
        ),
    ] = None,
    temperature: Annotated[
        list[float] | None,
        typer.Option(
            help=f"Only this one (repeatable); default {', '.join(map(str, TEMPERATURES))}.",
            show_default=False,
        ),
    ] = None,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Length cap of a string; default "
            f"{FULL.max_new_tokens} (quick: {QUICK.max_new_tokens}).",
        ),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(
            min=2, help=f"Strings per prompt; default {FULL.draws} (quick: {QUICK.draws})."
        ),
    ] = None,
    corpora: Annotated[
        int | None,
        typer.Option(
            min=2, help=f"Corpora per scheme; default {FULL.n_corpora} (quick: {QUICK.n_corpora})."
        ),
    ] = None,
    corpus_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"Strings per corpus; default {FULL.corpus_size} (quick: {QUICK.corpus_size}).",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the run.")] = 0,
    method: Annotated[
        str,
        typer.Option(
            help="Where the laws of whole strings come from: imh, chains over the strings as they "
            "were drawn; smc, particle filters of as many strings."
        ),
    ] = "imh",
    quick: Annotated[
        bool, typer.Option("--quick", help="A small run of everything, on three prompts.")
    ] = False,
) -> None:
    """Study probability against reward under sampling schemes, local and globally normalised.

    Every finished part is a file, so that a run that was stopped goes on where it was. With
    `--model toy` it runs on a built-in model over twenty words.
    """
    from aligndec.cli.tradeoff.run import Settings, run_tradeoff

    usual = QUICK if quick else FULL
    settings = Settings(
        families=tuple(dict.fromkeys(adaptor or FAMILIES)),
        temperatures=tuple(dict.fromkeys(temperature or TEMPERATURES)),
        max_new_tokens=max_new_tokens or usual.max_new_tokens,
        draws=draws or usual.draws,
        beta=beta,
        n_corpora=corpora or usual.n_corpora,
        corpus_size=corpus_size or usual.corpus_size,
        seed=seed,
        method=method,
    )
    try:
        run_tradeoff(
            settings,
            model=model,
            prompts_file=prompts,
            n_prompts=usual.n_prompts,
            reward=reward,
            out=out,
        )
    except CliError as error:
        fail("tradeoff", error)


typer_app.command()(transfer_q)
typer_app.command()(verify)
typer_app.add_typer(corpus_app)


@typer_app.command()
def frontier(
    records: Annotated[
        list[Path],
        typer.Argument(
            exists=True,
            dir_okay=False,
            readable=True,
            help="Parquet files with a row per string: prompt, kl, reward (or text, then VADER's "
            "sentiment is the reward), and adaptor, method or scheme; samples.parquet of "
            "`aligndec demo` is one.",
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
) -> None:
    """Show how far runs are from the reward–KL optimum, next to best-of-n of the same strings.

    The optimum is that of the pool of strings that the model itself drew, one KL price for all
    prompts.
    """
    from aligndec.cli.frontier.run import run_frontier

    try:
        run_frontier(records, base=base, out=out)
    except CliError as error:
        fail("frontier", error)
