"""The command `aligndec verify`: options and their texts, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aligndec.cli.console import CliError, fail
from aligndec.cli.options import Model, PromptsFile

__all__ = ["verify"]


def verify(
    engine: Annotated[
        str,
        typer.Option(
            help="transformers (its own sampler), aligndec (our step on the same logits), callable."
        ),
    ],
    model: Model = None,
    prompts: PromptsFile = None,
    adaptor: Annotated[
        list[str] | None,
        typer.Option(
            help="Law to be claimed, as temperature=0.7,top_p=0.9 (repeatable); default a few.",
            show_default=False,
        ),
    ] = None,
    function: Annotated[
        str | None,
        typer.Option(
            help="With --engine callable: module:name of a function (logits [B, V], seeds [B], "
            "adaptor) -> tokens [B].",
            show_default=False,
        ),
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help="Draws per prompt and law.")] = 20_000,
    batch_size: Annotated[int, typer.Option(min=2, help="Rows of a call.")] = 256,
    alpha: Annotated[
        float, typer.Option(help="Family-wise error of each law: how often a right one fails.")
    ] = 1e-3,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the check.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write the reports as JSON here.", show_default=False),
    ] = None,
) -> None:
    """Test whether an engine draws from the laws that it claims, on its own logits.

    Exits with status 1 when a law is not the claimed one.
    """
    from aligndec.cli.verify.run import run_verify

    try:
        passed = run_verify(
            engine=engine,
            model=model,
            prompts_file=prompts,
            laws=adaptor,
            function=function,
            draws=draws,
            batch_size=batch_size,
            alpha=alpha,
            seed=seed,
            out=out,
        )
    except CliError as error:
        fail("verify", error)
    raise typer.Exit(0 if passed else 1)
