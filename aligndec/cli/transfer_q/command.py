"""The command `aligndec transfer-q`: options and their texts, nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aligndec.cli.console import CliError, fail
from aligndec.cli.options import Format, Model, PromptsFile
from aligndec.cli.transfer_q.methods import FULL, METHODS, QUICK, Settings

__all__ = ["transfer_q"]


def transfer_q(
    model: Model = None,
    prompts: PromptsFile = None,
    reward: Annotated[
        str, typer.Option(help="`vader`, or folder or Hugging Face id of a sequence classifier.")
    ] = "vader",
    out: Annotated[
        Path, typer.Option(file_okay=False, help="Folder for the records and the plot.")
    ] = Path("transfer-q-output"),
    method: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Run this one only (repeatable): {', '.join(METHODS)}.",
            show_default=False,
        ),
    ] = None,
    alpha: Annotated[
        float, typer.Option(help="Temperature of the choice, in units of the reward.")
    ] = FULL.alpha,
    beta: Annotated[
        float, typer.Option(help="KL weight of the soft variant, in units of the reward.")
    ] = FULL.beta,
    k: Annotated[
        int | None,
        typer.Option(min=2, help=f"Candidates; default {FULL.k} (quick: {QUICK.k})."),
    ] = None,
    rollout_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"Tokens of a rollout; default {FULL.rollout_tokens} "
            f"(quick: {QUICK.rollout_tokens}).",
        ),
    ] = None,
    max_new_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"Length cap of a string; default {FULL.max_new_tokens} "
            f"(quick: {QUICK.max_new_tokens}).",
        ),
    ] = None,
    draws: Annotated[int, typer.Option(min=1, help="Strings per prompt and method.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of the run.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="A small run of everything.")] = False,
    figures: Format = "png",
) -> None:
    """Decode with a reward by Transfer Q* and what it is compared with, at equal budget."""
    from aligndec.cli.transfer_q.run import run_transfer_q

    usual = QUICK if quick else FULL
    settings = Settings(
        k=k or usual.k,
        alpha=alpha,
        beta=beta,
        rollout_tokens=rollout_tokens or usual.rollout_tokens,
        max_new_tokens=max_new_tokens or usual.max_new_tokens,
        draws=draws,
        seed=seed,
    )
    try:
        run_transfer_q(
            settings,
            names=method or list(METHODS),
            model=model,
            prompts_file=prompts,
            reward=reward,
            out=out,
            figures=figures,
        )
    except CliError as error:
        fail("transfer-q", error)
