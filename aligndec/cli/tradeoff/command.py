"""The command `aligndec tradeoff`: its options and their texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aligndec.cli.console import CliError, fail
from aligndec.cli.options import Format, Model, PromptsFile
from aligndec.cli.tradeoff.schemes import ALL_FAMILIES, FAMILIES, FULL, QUICK, TEMPERATURES

__all__ = ["tradeoff"]


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
    figures: Format = "png",
    from_runs: Annotated[
        list[Path] | None,
        typer.Option(
            "--from",
            help="Study this run of `aligndec corpus` instead of drawing strings (repeatable: a "
            "scheme each); it needs a reward.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Study probability against reward under sampling schemes, local and globally normalised.

    Every finished part is a file, so that a run that was stopped goes on where it was. With
    `--model toy` it runs on a built-in model over twenty words.
    """
    from aligndec.cli.tradeoff.run import Settings, run_tradeoff

    usual = QUICK if quick else FULL
    if from_runs:
        from aligndec.cli.tradeoff.from_runs import study_runs

        try:
            study_runs(
                from_runs,
                beta=beta,
                n_corpora=corpora or usual.n_corpora,
                corpus_size=corpus_size or usual.corpus_size,
                seed=seed,
                out=out,
                figures=figures,
            )
        except CliError as error:
            fail("tradeoff", error)
        return
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
            figures=figures,
        )
    except CliError as error:
        fail("tradeoff", error)
